//! One broker process.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{get, holdfast};

/// A broker that does not lead by then does not start.
const LEADS_WITHIN: Duration = Duration::from_secs(60);

/// A process that does not end by then after it was asked to hangs.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Brokers of this process that have not ended.
static STARTED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn started() -> MutexGuard<'static, BTreeSet<u32>> {
    // A set of numbers is whole whenever a thread that held it panicked.
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills every broker that this process started: for its end by a panic that does not unwind.
pub fn kill_started() {
    for pid in started().iter() {
        // One that has just ended need not be killed.
        let _ = kill(Pid::from_raw(*pid as i32), Signal::SIGKILL);
    }
}

/// How a broker is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The data directory.
    pub data: PathBuf,
    /// Flags besides `--data`, `--listen` and `--admin`.
    pub flags: Vec<String>,
    /// Where to listen; port 0: any free one.
    pub listen: String,
    /// Where to serve HTTP.
    pub admin: String,
    /// A user's id and group to run as, if not this one's.
    pub user: Option<u32>,
    /// What a shell does before it becomes the broker, such as `ulimit -n 200`.
    pub before: Option<String>,
}

impl Launch {
    /// On free ports of loopback, with every default.
    pub fn new(data: &Path) -> Launch {
        Launch {
            data: data.to_path_buf(),
            flags: Vec::new(),
            listen: "stomp://127.0.0.1:0".into(),
            admin: "127.0.0.1:0".into(),
            user: None,
            before: None,
        }
    }

    /// With everything so small that segments, checkpoints and deletion come up within seconds.
    pub fn small(data: &Path) -> Launch {
        let flags = [
            "--journal-segment-bytes=4MiB",
            "--journal-batch-bytes-max=64KiB",
            "--journal-ballast-bytes=8MiB",
            "--journal-checkpoint-bytes=1MiB",
            "--journal-checkpoint-records=500",
            "--journal-checkpoint-interval=1s",
            "--journal-body-cache-bytes=16KiB",
        ];
        Launch {
            flags: flags.map(str::to_owned).to_vec(),
            ..Launch::new(data)
        }
    }

    /// With one more flag.
    pub fn flag(mut self, flag: &str) -> Launch {
        self.flags.push(flag.to_owned());
        self
    }

    /// A shell does this before it becomes the broker; if it fails there is none.
    pub fn before(mut self, command: &str) -> Launch {
        self.before = Some(command.to_owned());
        self
    }

    /// Starts the process; it may not lead yet.
    ///
    /// # Panics
    /// If the binary does not start.
    pub fn start(&self) -> Broker {
        let mut command = match &self.before {
            None => Command::new(holdfast()),
            Some(before) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("set -e; {before}; exec \"$0\" \"$@\"")]);
                shell.arg(holdfast());
                shell
            }
        };
        command
            .arg("run")
            .arg("--data")
            .arg(&self.data)
            .arg(format!("--listen={}", self.listen))
            .arg(format!("--admin={}", self.admin));
        command.args(&self.flags).arg("--log-format=json");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HOLDFAST_") {
                command.env_remove(name);
            }
        }
        if let Some(user) = self.user {
            std::os::unix::process::CommandExt::uid(&mut command, user);
            std::os::unix::process::CommandExt::gid(&mut command, user);
        }
        let mut child = command.spawn().expect("the broker's binary starts");
        started().insert(child.id());
        let stderr = child.stderr.take().expect("it is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(LogLine::parse(&line)).is_err() {
                    return;
                }
            }
        });
        Broker {
            child,
            lines,
            log: Vec::new(),
            expected: Vec::new(),
            ended: false,
        }
    }
}

/// One line of a broker's log.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// `ERROR`, `WARN`, …; empty for what is no log line.
    pub level: String,
    /// The message.
    pub message: String,
    /// The whole line.
    pub line: String,
}

impl LogLine {
    fn parse(line: &str) -> LogLine {
        let json: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        LogLine {
            level: text("level"),
            message: text("message"),
            line: line.to_owned(),
        }
    }

    /// A field's text.
    pub fn field(&self, name: &str) -> Option<String> {
        let json: serde_json::Value = serde_json::from_str(&self.line).ok()?;
        match &json[name] {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// How a broker ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code; `None`: by a signal.
    pub code: Option<i32>,
    /// Everything that it wrote to standard error.
    pub log: Vec<LogLine>,
}

impl Ended {
    /// Everything that it wrote to standard error, as text.
    pub fn text(&self) -> String {
        self.log.iter().map(|line| format!("{}\n", line.line)).collect()
    }
}

/// A broker process. Killed when it is dropped.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    lines: Receiver<LogLine>,
    log: Vec<LogLine>,
    expected: Vec<String>,
    ended: bool,
}

impl Broker {
    /// A WARN or ERROR that contains this text is not a failure; the empty text is in every one.
    pub fn expecting(mut self, text: &str) -> Broker {
        self.expected.push(text.to_owned());
        self
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a log line with this message.
    ///
    /// # Panics
    /// If the process ends before, or takes longer than `limit`.
    pub fn wait_for(&mut self, message: &str, limit: Duration) -> LogLine {
        if let Some(line) = self.log.iter().find(|line| line.message.contains(message)) {
            return line.clone();
        }
        let until = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.log.push(line.clone());
                    if line.message.contains(message) {
                        return line;
                    }
                }
                Err(why) => panic!("the broker did not say {message:?} ({why}); it said:\n{}", self.said()),
            }
        }
    }

    /// Waits until it leads and serves.
    ///
    /// # Panics
    /// If it does not within a minute.
    pub fn wait_ready(&mut self) -> &mut Broker {
        self.wait_for("leading", LEADS_WITHIN);
        let ready = get(self.admin(), "/ready").expect("a leading broker answers");
        assert_eq!(ready.status, 200, "{}", ready.body);
        self
    }

    /// The epoch that it leads.
    ///
    /// # Panics
    /// If it does not lead.
    pub fn epoch(&mut self) -> u32 {
        let line = self.wait_for("leading", LEADS_WITHIN);
        line.field("epoch")
            .and_then(|epoch| epoch.parse().ok())
            .expect("the line names the epoch")
    }

    /// Where clients connect.
    ///
    /// # Panics
    /// If it does not lead.
    pub fn stomp(&mut self) -> SocketAddr {
        let clients = self
            .wait_for("leading", LEADS_WITHIN)
            .field("clients")
            .unwrap_or_default();
        let first = clients.split(',').next().unwrap_or_default();
        first
            .trim_start_matches("stomp://")
            .parse()
            .expect("the line names the address")
    }

    /// Where it serves HTTP.
    ///
    /// # Panics
    /// If it does not lead.
    pub fn admin(&mut self) -> SocketAddr {
        let admin = self
            .wait_for("leading", LEADS_WITHIN)
            .field("admin")
            .unwrap_or_default();
        admin.parse().expect("the line names the address")
    }

    /// Kills it, as kill -9 does, and waits until it is gone.
    ///
    /// # Panics
    /// On a WARN or ERROR that was not expected.
    pub fn kill(mut self) -> Ended {
        self.child.kill().expect("it is ours");
        self.reap()
    }

    /// Asks it to stop, as a supervisor does, and waits until it has.
    ///
    /// # Panics
    /// If it does not end, not with code 0, or said a WARN or ERROR that was not expected.
    pub fn stop(self) -> Ended {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).expect("it is ours");
        let ended = self.wait_end();
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        ended
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If it does not, or said a WARN or ERROR that was not expected.
    pub fn wait_end(mut self) -> Ended {
        // Its standard error ends when it does.
        let until = Instant::now() + ENDS_WITHIN;
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.log.push(line);
        }
        if Instant::now() >= until {
            let said = self.said();
            let _ = self.child.kill();
            panic!("the broker did not end within {ENDS_WITHIN:?}; it said:\n{said}");
        }
        self.reap()
    }

    fn reap(mut self) -> Ended {
        // Its number may be another's as soon as it is waited for.
        started().remove(&self.child.id());
        let status: ExitStatus = self.child.wait().expect("it is ours");
        self.ended = true;
        self.log.extend(self.lines.iter());
        for line in &self.log {
            let grave = line.level == "WARN"
                || line.level == "ERROR"
                || (line.level.is_empty() && line.line.contains("panicked"));
            let expected = self.expected.iter().any(|text| line.line.contains(text));
            assert!(!grave || expected, "unexpected in the broker's log: {}", line.line);
        }
        Ended {
            code: status.code(),
            log: std::mem::take(&mut self.log),
        }
    }

    fn said(&self) -> String {
        self.log.iter().map(|line| format!("{}\n", line.line)).collect()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if !self.ended {
            started().remove(&self.child.id());
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs one command of the binary to its end.
///
/// # Panics
/// If the binary does not start.
pub fn command(arguments: &[OsString]) -> std::process::Output {
    Command::new(holdfast())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the broker's binary starts")
}

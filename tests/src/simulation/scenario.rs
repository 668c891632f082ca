//! What a seed means: settings, faults and their moments.

use std::time::Duration;

use simulated::{Chance, FaultPlan, Prng};

use super::company::Company;
use super::forgery::Forgery;
use crate::workload::{Role, Work};

/// A fault that is not a matter of chance per operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calamity {
    /// The process dies at once (kill -9); it starts again.
    Kill,
    /// The power goes: what was only visible stays or goes. It starts again.
    PowerLoss,
    /// A clean stop, then a start.
    Stop,
    /// The machine restarts.
    Reboot,
    /// A client's connection breaks.
    Cut,
    /// The process does not run for a while, and goes on. On a shared file system another takes over meanwhile.
    Freeze,
    /// A second process is started on the directory while the first leads.
    SecondProcess,
    /// The file system is full, for a while.
    FullDisk,
    /// Nothing that was asked of the disk returns, for a while.
    Stall,
    /// The wall clock jumps.
    ClockJump,
    /// Writes stall, connections break and are made again, so that clients ask again for what is not durable; then the process dies.
    Doubt,
    /// The leader's machine is cut off from the file server for as long as a successor needs; then everything that it had under way lands.
    CutOff,
    /// A write of the leader's heartbeat hangs for longer than a successor waits; its other operations do not, and it does not notice.
    HungBeat,
}

/// When a calamity comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After so many operations of clients.
    Worked(u64),
    /// After so many disk operations behind the next new checkpoint: around the root that names it.
    Checkpoint(u64),
    /// So long after the last calamity.
    Passed(Duration),
    /// After so many more disk operations than there were when the last calamity was over: in the middle of whatever the node is doing.
    Operation(u64),
}

/// What is damaged at rest before the last start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Nothing.
    None,
    /// One bit, anywhere.
    FlippedBit,
    /// One write went elsewhere, unnoticed.
    Misdirected,
    /// Something that looks like the next batch lies behind the end of the log.
    Forged(Forgery),
    /// The end of the log is gone, and only the heartbeat knows.
    CutTail,
    /// A batch is damaged, and only a later batch knows that it was confirmed.
    DamagedConfirmed,
}

/// What the faults of a scenario excuse.
#[derive(Clone, Copy, Debug, Default)]
pub struct Excuses {
    /// A node may end because its disk failed.
    pub failed: bool,
    /// A start may end because the disk is full; sends may be refused.
    pub no_space: bool,
    /// Sends that are not persistent may wait for memory, and fail.
    pub little_memory: bool,
    /// Transactions may be refused for their size.
    pub little_transactions: bool,
    /// A node may end because another leads, or fenced it.
    pub others: bool,
    /// A node may refuse what it finds, and warn.
    pub damage: bool,
    /// How long a delivery may have been under way, milliseconds.
    pub under_way: u64,
}

/// For how long a machine is cut off: as long as a successor needs, and not much longer.
pub(crate) const CUT_OFF_MILLIS: u64 = 3_400;

/// For how long a heartbeat hangs: until the leader has taken one more checkpoint beside its successor.
pub(crate) const HUNG_MILLIS: u64 = 4_700;

/// One run's plan.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed of everything that is drawn later.
    pub seed: u64,
    /// How the clients work.
    pub work: Work,
    /// The clients.
    pub roles: Vec<Role>,
    /// Those beside them who are slow or malicious.
    pub company: Option<Company>,
    /// Operations of clients after which the end comes.
    pub operations: u64,
    /// What goes wrong by chance.
    pub plan: FaultPlan,
    /// What goes wrong when.
    pub calamities: Vec<(Moment, Calamity)>,
    /// What is damaged before the last start.
    pub damage: Damage,
    /// Whether two machines share the file system.
    pub shared: bool,
    /// Whether the end begins with a clean stop.
    pub stops_at_end: bool,
    /// Whether everything is drained twice, with a start in between.
    pub drains_twice: bool,
    /// The node's settings.
    pub settings: node::Settings,
    /// About how large the rare large messages are, bytes.
    pub large: usize,
    /// What may happen.
    pub excuses: Excuses,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn of(seed: u64) -> Scenario {
        let mut prng = Prng::new(seed);
        let shared = prng.below(5) == 0;
        let damage = match prng.below(16) {
            0 | 1 => Damage::FlippedBit,
            2 => Damage::Misdirected,
            3 => Damage::Forged(Forgery::WithoutNonce),
            4 => Damage::Forged(Forgery::WithoutChain),
            5 => Damage::CutTail,
            6 => Damage::DamagedConfirmed,
            _ => Damage::None,
        };
        let mut plan = match prng.below(4) {
            0 => FaultPlan {
                write_latency: FaultPlan::rough().write_latency,
                ..FaultPlan::calm()
            },
            _ => FaultPlan::drawn(&mut prng),
        };
        if damage == Damage::Misdirected {
            // What went astray lately may rest on nothing else: no error may end the process before it is covered.
            for chance in [
                &mut plan.failed,
                &mut plan.stale,
                &mut plan.no_space,
                &mut plan.short_write,
            ] {
                *chance = Chance::NEVER;
            }
        }
        let mut roles = vec![
            Role::Producer,
            Role::Consumer,
            Role::Durable(0),
            Role::Durable(1),
            Role::Transactor,
        ];
        let others = [Role::Producer, Role::Consumer, Role::Transactor, Role::Browser];
        roles.extend((0..prng.below(3)).map(|_| others[prng.index(others.len())]));
        let operations = 220 + prng.below(80);
        let mut calamities = draw_calamities(&mut prng, operations, shared);
        let cut_off = shared && damage == Damage::None && prng.below(3) == 0;
        if cut_off {
            // The successor dies soon after, on what the old leader left.
            let (calamity, millis) = if prng.below(2) == 0 {
                (Calamity::CutOff, CUT_OFF_MILLIS)
            } else {
                (Calamity::HungBeat, HUNG_MILLIS + 900)
            };
            let soon = Duration::from_millis(millis) + Duration::from_millis(5 + prng.below(30));
            calamities = vec![
                (Moment::Checkpoint(prng.below(9)), calamity),
                (Moment::Passed(soon), Calamity::Kill),
            ];
        }
        let has = |wanted: Calamity| calamities.iter().any(|(_, calamity)| *calamity == wanted);
        let stalls = has(Calamity::HungBeat)
            || plan.stall > Chance::NEVER
            || [Calamity::Stall, Calamity::Doubt, Calamity::Freeze, Calamity::FullDisk]
                .into_iter()
                .any(has);
        let at_rest = matches!(
            damage,
            Damage::FlippedBit | Damage::Misdirected | Damage::CutTail | Damage::DamagedConfirmed
        );
        let little_memory = prng.below(4) == 0;
        let mut excuses = Excuses {
            failed: plan.failed > Chance::NEVER,
            no_space: plan.no_space > Chance::NEVER || plan.short_write > Chance::NEVER || has(Calamity::FullDisk),
            little_memory,
            little_transactions: false,
            others: shared || at_rest,
            damage: at_rest,
            under_way: if stalls || has(Calamity::ClockJump) {
                120_000
            } else {
                500
            },
        };
        let large = [20_000, 60_000, 200_000][prng.index(3)];
        let mut settings = draw_settings(&mut prng, shared);
        settings.engine.send_fail_if_no_space = prng.below(2) == 0;
        if little_memory {
            settings.engine.volatile_bytes_max = 2_000 + prng.index(20_000);
            // Less than one large message: large frames are read one after the other.
            settings.engine.untaken_bytes_max = settings.engine.volatile_bytes_max;
            settings.engine.untaken_bytes_all_max = 2 * settings.engine.volatile_bytes_max;
            settings.unfinished_bytes_max = settings.engine.volatile_bytes_max;
            // What nobody consumes must not stop the run.
            settings.engine.send_fail_if_no_space_after = Some(Duration::from_millis(50 + prng.below(400)));
        }
        if cut_off {
            settings.checkpoint_records = 25;
            settings.checkpoint_interval = Duration::from_secs(4);
        }
        if matches!(damage, Damage::CutTail | Damage::DamagedConfirmed) {
            // What a checkpoint holds is not read from the log.
            (settings.checkpoint_records, settings.checkpoint_bytes) = (1_000_000, 1 << 40);
            settings.checkpoint_interval = Duration::from_secs(3600);
        }
        let company = Company::of(seed);
        if company.as_ref().is_some_and(|company| company.full_at_end) {
            // Its acknowledgements may be what its own sends wait for.
            roles.push(Role::Worker);
        }
        // The tail adds its own.
        let operations = if company.is_some() { operations - 20 } else { operations };
        if let Some(company) = &company {
            company.limit(seed, roles.len(), large, &mut settings, &mut excuses);
        }
        Scenario {
            seed: prng.below(u64::MAX),
            work: Work {
                auto: prng.below(2) == 0,
                expiry: prng.below(3) > 0,
                heart_beats: true,
            },
            roles,
            company,
            operations,
            plan,
            calamities,
            damage,
            shared,
            stops_at_end: prng.below(3) == 0,
            drains_twice: prng.below(10) == 0,
            settings,
            large,
            excuses,
        }
    }
}

impl Scenario {
    /// Whether an operator has to make room, because sends wait for memory as long as it takes.
    pub fn makes_room(&self) -> bool {
        let company = self.company.as_ref();
        company.is_some_and(|company| company.waits_for_memory)
    }
}

fn draw_calamities(prng: &mut Prng, operations: u64, shared: bool) -> Vec<(Moment, Calamity)> {
    use Calamity::{ClockJump, Cut, Doubt, Freeze, FullDisk, Kill, PowerLoss, Reboot, SecondProcess, Stall, Stop};
    // The first is always a death: a run without one proves little.
    let deaths = [Kill, Kill, Kill, PowerLoss, PowerLoss, Reboot];
    let others = [
        Kill,
        Kill,
        PowerLoss,
        Stop,
        Cut,
        Cut,
        Cut,
        Freeze,
        SecondProcess,
        FullDisk,
        Stall,
        ClockJump,
        Doubt,
        Doubt,
    ];
    let mut calamities = vec![if shared && prng.below(2) == 0 {
        Freeze
    } else {
        deaths[prng.index(deaths.len())]
    }];
    calamities.extend((0..1 + prng.below(4)).map(|_| others[prng.index(others.len())]));
    let count = calamities.len() as u64;
    calamities
        .into_iter()
        .enumerate()
        .map(|(index, calamity)| {
            let share = operations * (index as u64 + 1) / (count + 1);
            let moment = match prng.below(3) {
                0 => Moment::Operation(1 + prng.below(120)),
                _ => Moment::Worked(share / 2 + prng.below(share.max(1))),
            };
            (moment, calamity)
        })
        .collect()
}

/// The shipped defaults, scaled down so that rolls, checkpoints, deletion and reading back happen in a run.
fn draw_settings(prng: &mut Prng, shared: bool) -> node::Settings {
    let mut settings = node::Settings {
        shared_unknown: shared,
        ..node::Settings::default()
    };
    settings.journal.segment_bytes = [64 << 10, 128 << 10, 256 << 10][prng.index(3)];
    settings.journal.batch_bytes_max = 16 << 10;
    settings.journal.writes_in_flight = 1 + prng.index(4);
    settings.ballast_bytes = 2 * u64::from(settings.journal.segment_bytes);
    settings.engine.body_cache_bytes = [0, 4 << 10, 64 << 10, 32 << 20][prng.index(4)];
    settings.engine.expiry_interval = Duration::from_millis(200 + prng.below(2_000));
    settings.checkpoint_bytes = [64 << 10, 256 << 10][prng.index(2)];
    settings.checkpoint_records = 20 + prng.below(200);
    settings.checkpoint_interval = Duration::from_millis(500 + prng.below(4_000));
    settings
}

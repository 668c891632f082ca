//! The shipped node over a simulated machine: from a seed, and exhaustively for one fixed workload.
//!
//! Owns: [`world`] (who moves bytes, time and faults between nodes and clients), [`scenario`] (what a seed means), [`run`](run::run) (one run from its beginning to its verdict), [`exhaustive`] (every crash
//! of one workload). A run is a function of its seed: nothing here reads a clock, the environment or the machine.
//!
//! Deliberately absent: knowledge of how the node works inside. What it may do when disks fail is [`scenario::Excuses`]; everything else is a failure.

pub mod company;
pub mod coverage;
pub mod exhaustive;
pub mod forgery;
mod operator;
pub mod pace;
pub mod run;
pub mod scenario;
mod world;

pub use run::{Report, run};

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use simulated::{Crash, FaultPlan, Landed};

    use super::scenario::Scenario;
    use super::world::World;
    use crate::workload::Scene;

    #[test]
    fn an_idle_node_leads_again_after_each_of_many_deaths() {
        let mut world = World::new(1, FaultPlan::calm(), Scenario::of(1).settings, Scene::new(1_000), false);
        for _ in 0..100 {
            world.lead().unwrap();
            let leader = world.leader().unwrap();
            let until = world.storage.now() + Duration::from_secs(3);
            while world.storage.now() < until {
                world.step(until);
            }
            world.kill(leader, Crash::Process(leader), Landed::Random);
        }
        assert_eq!(world.coverage.of("leads"), 100);
        assert!(world.notices.is_empty(), "{:?}", world.notices);
    }
}

//! The node on a simulated disk: who leads, what a full disk does, what a client may see.

mod damage;
mod space;
mod start;
mod unfinished;
mod untaken;
mod visible;
mod world;

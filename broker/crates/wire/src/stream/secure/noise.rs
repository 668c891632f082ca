//! The one way in which Noise is used here, and the randomness that it gets.
//!
//! Invariant: the only randomness is the 32 bytes that were drawn when the channel was made: the secret half of its ephemeral key. `snow` is built without a source of its own.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};

use super::key::{KEY_BYTES, Key};

/// How both sides talk; part of what both sign.
const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// Product and version of the channel: another one's handshake fails.
const PROLOGUE: &[u8] = b"holdfast stream 1";

/// A side that is about to shake hands; `ephemeral` is used once.
pub(super) fn handshake(key: &Key, ephemeral: [u8; KEY_BYTES], is_initiator: bool) -> HandshakeState {
    let parameters = PATTERN.parse().expect("the pattern is one that Noise has");
    let builder = Builder::with_resolver(parameters, Box::new(Resolver { ephemeral }))
        .prologue(PROLOGUE)
        .and_then(|builder| builder.psk(0, key.as_bytes()))
        .expect("prologue and key are set once");
    let state = if is_initiator {
        builder.build_initiator()
    } else {
        builder.build_responder()
    };
    state.expect("the pattern needs nothing but the key, and every primitive is built in")
}

struct Resolver {
    ephemeral: [u8; KEY_BYTES],
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.ephemeral))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// Gives what it has once; a second key from the same bytes would be no secret.
struct Once(Option<[u8; KEY_BYTES]>);

impl Random for Once {
    fn try_fill_bytes(&mut self, wanted: &mut [u8]) -> Result<(), snow::Error> {
        match self.0.take() {
            Some(bytes) if bytes.len() == wanted.len() => {
                wanted.copy_from_slice(&bytes);
                Ok(())
            }
            Some(_) | None => Err(snow::Error::Rng),
        }
    }
}

//! Randomness of the operating system, through the crypto library that is here anyway.

use std::hash::BuildHasher;

use aws_lc_rs::rand;

/// Fit for keys, nonces and names that must not be guessed.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // AWS-LC ends the process where the system has no randomness; this never fails.
    rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}

pub(crate) fn u64() -> u64 {
    u64::from_ne_bytes(bytes())
}

pub(crate) fn u128() -> u128 {
    u128::from_ne_bytes(bytes())
}

/// From 0 up to, and without, 1.
pub(crate) fn fraction() -> f64 {
    (u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Keys of a hash map that no peer can guess. (`ahash` has its own by a feature that brings another crate along.)
#[derive(Debug, Clone)]
pub(crate) struct RandomState(ahash::RandomState);

impl Default for RandomState {
    fn default() -> Self {
        Self(ahash::RandomState::with_seeds(u64(), u64(), u64(), u64()))
    }
}

impl BuildHasher for RandomState {
    type Hasher = ahash::AHasher;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(u128(), u128());
        assert_ne!(bytes::<32>(), bytes());
        let hash = || RandomState::default().hash_one("a");
        assert_ne!(hash(), hash());
    }

    #[test]
    fn fractions_fill_the_unit() {
        let some: Vec<f64> = (0..1_000).map(|_| fraction()).collect();
        assert!(some.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        assert!(
            some.iter().any(|fraction| *fraction < 0.1)
                && some.iter().any(|fraction| *fraction > 0.9)
        );
    }
}

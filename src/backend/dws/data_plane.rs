//! Where viewers connect to, which only sessions tell.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// The addresses that the sessions of one DWS have named, at most [`AT_MOST`]: a page says where it may connect
/// before its session is there.
#[derive(Debug, Default)]
pub(super) struct DataPlanes(ArcSwap<Vec<String>>);

impl DataPlanes {
    pub(super) fn note(&self, address: &str) {
        if self.0.load().iter().any(|known| known == address) {
            return;
        }
        self.0.rcu(|known| {
            let others = known.iter().filter(|known| *known != address).take(AT_MOST - 1);
            std::iter::once(address.to_owned()).chain(others.cloned()).collect::<Vec<_>>()
        });
    }

    pub(super) fn known(&self) -> Arc<Vec<String>> {
        self.0.load_full()
    }
}

/// One key is of one tenant, which may move.
const AT_MOST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_few_are_known() {
        let planes = DataPlanes::default();
        assert!(planes.known().is_empty());
        for address in ["a", "b", "a", "c", "d", "e"] {
            planes.note(address);
        }
        assert_eq!(*planes.known(), ["e", "d", "c", "b"]);
    }
}

/// How much may rest in the spool. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpoolLimits {
    /// Of all files.
    pub(crate) limit: u64,
    /// Of uploads that the app has not taken yet.
    pub(crate) unaccepted: u64,
    /// Of those, from one address (IPv6: from one /64).
    pub(crate) per_client: u64,
    /// Left free on the disk.
    pub(crate) reserve: u64,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self { limit: 10 << 30, unaccepted: 2 << 30, per_client: 500 << 20, reserve: 1 << 30 }
    }
}

//! What follows the closing boundary of a form.

use memchr::memmem::Finder;

use super::Malformed;

/// Watches a form's epilogue. PHP goes on looking for parts there, and Python's `email` takes a
/// closing boundary with other text behind it for content.
#[derive(Debug)]
pub(crate) struct Epilogue {
    dashes: Finder<'static>,
    /// The end of what was seen, where a boundary may have begun.
    held: Vec<u8>,
    is_first_line: bool,
}

impl Epilogue {
    pub(super) fn new(dashes: Finder<'static>) -> Self {
        Self { dashes, held: Vec::new(), is_first_line: true }
    }

    /// The next bytes of the body.
    pub(in crate::extract) fn watch(&mut self, data: &[u8]) -> Result<(), Malformed> {
        if self.is_first_line {
            for byte in data {
                match byte {
                    b' ' | b'\t' | b'\r' => {}
                    b'\n' => {
                        self.is_first_line = false;
                        break;
                    }
                    _ => return Err(Malformed::Boundary),
                }
            }
        }
        let longest = self.dashes.needle().len() - 1;
        self.held.extend(data.iter().take(longest));
        if self.dashes.find(&self.held).or_else(|| self.dashes.find(data)).is_some() {
            return Err(Malformed::Boundary);
        }
        if data.len() >= longest {
            self.held.clear();
            self.held.extend_from_slice(data.get(data.len() - longest..).unwrap_or_default());
        } else {
            self.held.drain(..self.held.len().saturating_sub(longest));
        }
        Ok(())
    }
}

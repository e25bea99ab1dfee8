//! The viewer page that Transom serves itself, and the plain pages that say why there is none.

mod csp;
mod html;
mod navigation;
mod page;
mod refusal;
#[cfg(feature = "cli")]
mod shown;
mod texts;

#[cfg(feature = "cli")]
pub(crate) use html::escape;
pub(crate) use navigation::{is_ahead, is_navigation};
pub(crate) use page::Page;
#[cfg(feature = "cli")]
pub(crate) use refusal::instead_of_the_app;
pub(crate) use refusal::refusal;
#[cfg(feature = "cli")]
pub(crate) use shown::Shown;

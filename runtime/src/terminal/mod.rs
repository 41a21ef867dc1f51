//! The terminal of a container, on the runtime's side.
//!
//! Init makes the pseudo-terminal inside the container and sends its master to the parent. A detached runtime hands
//! that on to the engine, through [`console_socket`]; a foreground one is the terminal itself, through a [`Proxy`].

pub mod console_socket;
mod proxy;

pub use proxy::Proxy;

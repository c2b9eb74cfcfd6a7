//! The built program, run as an operator runs it: command line, start and stop, whole flows over real sockets.

#[cfg(test)]
mod command_line;
#[cfg(test)]
#[cfg(feature = "demo")]
mod demo;
#[cfg(test)]
mod diagnostics;
#[cfg(test)]
mod flow;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod full_disk;
#[cfg(test)]
#[cfg(feature = "demo")]
mod mock_provider;
#[cfg(test)]
#[cfg(not(feature = "demo"))]
mod no_demo;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(test)]
mod providers;
#[cfg(test)]
mod start;
#[cfg(test)]
mod support;

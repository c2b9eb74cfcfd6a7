//! Tests of the whole router: real use cases on the memory store, test doubles at every other port, requests without a socket.

mod accounts;
mod api;
mod callback;
mod callback_refusals;
mod connections;
mod connector_test;
mod console;
mod execute;
mod existing_front_ends;
mod flow;
mod grants;
mod guards;
mod html;
mod languages;
mod limits;
mod logging;
mod mounted;
mod pages;
mod permissions;
mod relay;
mod session;
mod static_files;
mod test_app;
mod try_connection;
mod users;

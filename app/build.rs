//! Tells cargo to embed the console anew when its files change, which the names in the code cannot.

fn main() {
    println!("cargo::rerun-if-changed=console/dist");
    println!("cargo::rerun-if-changed=build.rs");
}

//! The layering of the crates: an edge may only go to a lower layer.
//!
//! Each crate says `layer = N` in its `[package.metadata]`. `"tool"` (xtask) may use no crate of the
//! product; `"test"` (testkit) may use any and be used only by dev-dependencies.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::sh;

#[derive(Clone, Copy, PartialEq)]
enum Layer {
    Product(u64),
    Test,
    Tool,
}

/// Fails with every edge that goes up or sideways.
pub fn run() -> Result<()> {
    let text = sh::read(&mut sh::cmd("cargo", &["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let mut layers = BTreeMap::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        layers.insert(name, layer(&package["metadata"]["layer"]).with_context(|| format!("{name} names no layer"))?);
    }
    let mut wrong = Vec::new();
    for package in packages {
        let from = package["name"].as_str().unwrap_or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            let Some(&below) = layers.get(to) else { continue };
            let dev = dependency["kind"] == "dev";
            if !allowed(layers[from], below, dev) {
                wrong.push(format!("{from} → {to}"));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("edges that go up or sideways:\n  {}", wrong.join("\n  "));
    }
    eprintln!("{} crates, every edge goes down", layers.len());
    Ok(())
}

fn allowed(from: Layer, to: Layer, dev: bool) -> bool {
    match (from, to) {
        (_, Layer::Tool) => false,
        (_, Layer::Test) => dev,
        (Layer::Test, Layer::Product(_)) => true,
        (Layer::Tool, Layer::Product(_)) => false,
        (Layer::Product(from), Layer::Product(to)) => to < from || dev,
    }
}

fn layer(value: &Value) -> Option<Layer> {
    match value {
        Value::Number(n) => n.as_u64().map(Layer::Product),
        Value::String(s) if s == "test" => Some(Layer::Test),
        Value::String(s) if s == "tool" => Some(Layer::Tool),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_may_only_go_down() {
        let p = Layer::Product;
        for (from, to, dev, ok) in [
            (p(3), p(2), false, true),
            (p(2), p(2), false, false),
            (p(2), p(3), false, false),
            (p(2), Layer::Test, true, true),
            (p(2), Layer::Test, false, false),
            (Layer::Tool, p(0), false, false),
            (p(7), Layer::Tool, true, false),
        ] {
            assert_eq!(allowed(from, to, dev), ok);
        }
    }
}

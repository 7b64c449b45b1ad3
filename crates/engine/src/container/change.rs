//! Rename and update: changes of the definition.

use std::sync::Arc;

use hull_types::{Fault, Name};
use hull_wire as wire;

use super::record::Definition;
use super::task::Task;
use crate::admit;
use crate::core::blocking;

impl Task {
    pub(super) fn rename(&mut self, name: Name) -> Result<(), Fault> {
        let old = self.definition.name.clone();
        if name == old {
            return Err(Fault::invalid("Renaming a container with the same name as its current name"));
        }
        self.core.registry.reserve(&name, self.definition.id)?;
        let renamed = Definition { name: name.clone(), ..(*self.definition).clone() };
        if let Err(fault) = self.replace(renamed) {
            self.core.registry.release(&name);
            return Err(fault);
        }
        self.core.registry.release(&old);
        if let Some(endpoints) = self.core.networks.rename(self.definition.id, old.as_str(), name.as_str()) {
            self.state.given.endpoints = endpoints;
            // It is logged; the name itself is written.
            let _ = self.save();
            self.publish();
        }
        self.core.announce(&self.definition, "rename", &[("oldName", old.slashed())]);
        Ok(())
    }

    pub(super) fn update(&mut self, request: &wire::ContainerUpdateRequest) -> Result<Vec<String>, Fault> {
        let admitted =
            admit::update(&self.core.admission(), &self.definition.spec, &self.definition.host_config, request)?;
        if self.container.live().is_some() {
            let mut cgroup = self.core.cgroup(&self.container.view())?;
            blocking(|| cgroup.update(&admitted.writes)).inspect_err(|_| {
                // Those before the one that the kernel refused are written: what had been asked for is put back.
                let _ = blocking(|| cgroup.update(&self.definition.spec.limits));
            })?;
        }
        let mut spec = (*self.definition.spec).clone();
        spec.limits = admitted.limits;
        let updated =
            Definition { spec: Arc::new(spec), host_config: admitted.host_config, ..(*self.definition).clone() };
        self.replace(updated)?;
        self.core.announce(&self.definition, "update", &[]);
        Ok(admitted.warnings)
    }

    pub(super) fn replace(&mut self, definition: Definition) -> Result<(), Fault> {
        self.core.write(&definition, |tx| tx.put(definition.id.as_str(), &definition))?;
        self.definition = Arc::new(definition);
        self.publish();
        Ok(())
    }
}

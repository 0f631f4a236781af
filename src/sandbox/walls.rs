//! Landlock: files are written beneath our own folders only, and no port is opened but ours.
//!
//! Reading stays as the owner of the files allows it: certificates, secrets and zones lie where the
//! administrator put them.

use std::path::PathBuf;

use landlock::{
    ABI, AccessFs, AccessNet, CompatLevel, Compatible as _, NetPort, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, path_beneath_rules,
};

use super::{Level, Plan};

/// Raises the walls around the calling thread.
pub(super) fn raise(plan: &Plan) -> Result<Level, RulesetError> {
    let writes = AccessFs::from_write(ABI::V5);
    let ports = plan.ports.iter().map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::BindTcp)));
    // It is removed from the folder that it lies in.
    let emptied = plan.passing.iter();
    let removed_from = plan.passing.iter().filter_map(|folder| folder.parent());
    // The first version knows no renames between folders and would forbid them all: then rather none.
    let walls = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writes)?
        .handle_access(AccessNet::BindTcp)?
        .create()?
        .add_rules(path_beneath_rules(plan.writable.iter().chain(&devices()), writes))?
        .add_rules(path_beneath_rules(emptied, AccessFs::RemoveDir | AccessFs::RemoveFile))?
        .add_rules(path_beneath_rules(removed_from, AccessFs::RemoveDir))?
        .add_rules(ports)?
        .restrict_self()?;
    Ok(match walls.ruleset {
        RulesetStatus::FullyEnforced => Level::Enforced,
        RulesetStatus::PartiallyEnforced => Level::Partial,
        RulesetStatus::NotEnforced => Level::Off,
    })
}

/// What programs that we start write to.
fn devices() -> [PathBuf; 1] {
    ["/dev/null".into()]
}

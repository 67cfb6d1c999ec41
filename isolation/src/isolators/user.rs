//! `posix/user`: tasks run as the user of their framework, or else as one without any rights; as
//! root only where the operator allows it.

use std::{os::unix::fs::lchown, path::Path};

use caps::Capability;
use nix::unistd::User as Account;

use super::{Isolator, IsolatorError, Machine};
use crate::{
    container::{Container, IsolationConfig},
    launch::{Plan, User},
    process::{STDERR, STDOUT},
};

#[derive(Debug)]
struct TaskUser {
    default: String,
    allows_root: bool,
}

pub(super) fn build(config: &IsolationConfig, _: &Machine) -> Result<Box<dyn Isolator>, String> {
    Machine::capability(Capability::CAP_SETUID)?;
    let user = TaskUser {
        default: config.task_user.clone(),
        allows_root: config.root_tasks,
    };
    user.account(&user.default)
        .map_err(|error| error.to_string())?;
    Ok(Box::new(user))
}

impl TaskUser {
    fn name<'a>(&'a self, container: &'a Container) -> &'a str {
        let of_image = self.of_image(container).map(|(name, _)| name.as_str());
        let named = container.user.as_deref().or(of_image);
        named.unwrap_or(&self.default)
    }

    /// Whom the image names, unless the framework names somebody. That it names root is no more than
    /// that it names nobody: most images do not mean it.
    fn of_image<'a>(&self, container: &'a Container) -> Option<&'a (String, User)> {
        let image = container
            .image
            .as_ref()
            .filter(|_| container.user.is_none())?;
        let user = image.user.as_ref();
        user.filter(|(_, user)| user.uid != 0 || self.allows_root)
    }

    fn account(&self, name: &str) -> Result<Account, IsolatorError> {
        let refused = |problem: String| Err(IsolatorError::Refused(problem));
        match Account::from_name(name) {
            Ok(Some(account)) if account.uid.is_root() && !self.allows_root => refused(format!(
                "user {name}: tasks may not run as root on this agent; name another user, or start \
                 the agent with --root-tasks"
            )),
            Ok(Some(account)) => Ok(account),
            Ok(None) => refused(format!("user {name}: there is none on this agent")),
            Err(errno) => refused(format!("user {name}: cannot be looked up: {errno}")),
        }
    }
}

impl Isolator for TaskUser {
    fn user(&self, container: &Container) -> Result<Option<User>, IsolatorError> {
        if let Some((_, user)) = self.of_image(container) {
            return Ok(Some(user.clone()));
        }
        let account = self.account(self.name(container))?;
        Ok(Some(User {
            uid: account.uid.as_raw(),
            gid: account.gid.as_raw(),
            groups: groups(&account),
        }))
    }

    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        let name = self.name(container);
        let Some(user) = self.user(container)? else {
            return Ok(());
        };
        // Empty until now but for these, and root's own, so that nothing can be put in their place.
        give(&container.sandbox, &user)?;
        if let Some(shared) = &container.shared {
            give(shared, &user)?;
        }
        for output in [STDOUT, STDERR] {
            let path = container.sandbox.join(output);
            if path.exists() {
                give(&path, &user)?;
            }
        }
        let home = container.sandbox.display().to_string();
        for (variable, value) in [("HOME", home.as_str()), ("USER", name), ("LOGNAME", name)] {
            plan.environment
                .insert(variable.to_owned(), value.to_owned());
        }
        plan.user = Some(user);
        Ok(())
    }
}

fn give(path: &Path, user: &User) -> Result<(), IsolatorError> {
    lchown(path, Some(user.uid), Some(user.gid)).map_err(|source| IsolatorError::File {
        action: "give away",
        path: path.to_owned(),
        source,
    })
}

fn groups(account: &Account) -> Vec<u32> {
    let name = std::ffi::CString::new(account.name.as_str()).unwrap_or_default();
    let found = nix::unistd::getgrouplist(&name, account.gid).unwrap_or_default();
    found.into_iter().map(nix::unistd::Gid::as_raw).collect()
}

//! Whom an image's processes run as, by the files of users in the image.

use std::path::{Path, PathBuf};

use tepui_isolation::{launch::User, sandbox};

use crate::error::Problem;

const LENGTH_MAX: usize = 1 << 20;

/// The user that `text` names (`name`, `number`, either with `:group`), with its name; none if it is
/// empty. `layers` are the image's, the topmost first.
pub(super) fn find(text: &str, layers: &[PathBuf]) -> Result<Option<(String, User)>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let (name, group) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (text, None),
    };
    let (passwd, groups) = (read(layers, "etc/passwd"), read(layers, "etc/group"));
    let number = name.parse::<u32>().ok();
    let is_user = |fields: &Vec<&str>| {
        fields[0] == name || number.is_some() && fields[2].parse().ok() == number
    };
    let found = lines(&passwd).find(is_user);
    let known = found
        .as_ref()
        .map(|fields| (fields[2].parse(), fields.get(3).map(|gid| gid.parse())));
    let missing =
        |what: &str| Problem::Refused(format!("its user is {text:?}, but it has no such {what}"));
    let (uid, own_group) = match (known, number) {
        (Some((Ok(uid), Some(Ok(gid)))), _) => (uid, gid),
        (_, Some(number)) => (number, 0),
        _ => return Err(missing("user")),
    };
    let gid = match group {
        None => own_group,
        Some(group) => {
            let named = lines(&groups).find(|fields| fields[0] == group);
            let gid = named.and_then(|fields| fields[2].parse().ok());
            gid.or(group.parse().ok()).ok_or_else(|| missing("group"))?
        }
    };
    let name = found.map_or(name, |fields| fields[0]).to_owned();
    let is_member = |fields: &Vec<&str>| {
        let members = fields.get(3).copied().unwrap_or_default();
        members.split(',').any(|member| member == name)
    };
    let further = match group {
        None => lines(&groups)
            .filter(is_member)
            .filter_map(|fields| fields[2].parse().ok())
            .collect(),
        Some(_) => Vec::new(),
    };
    let user = User {
        uid,
        gid,
        groups: further,
    };
    Ok(Some((name, user)))
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let all = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    all.filter(|fields| fields.len() > 2)
}

/// A file of the topmost layer that has it; empty if none has.
fn read(layers: &[PathBuf], path: &str) -> String {
    let of = |layer: &PathBuf| read_in(layer, path);
    layers.iter().find_map(of).unwrap_or_default()
}

fn read_in(layer: &Path, path: &str) -> Option<String> {
    // Never out of the layer, whatever links it has.
    let piece = sandbox::read(layer, path, 0, LENGTH_MAX).ok()?;
    Some(String::from_utf8_lossy(&piece.data).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_user_is_one_of_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let (top, low) = (dir.path().join("top"), dir.path().join("low"));
        fs::create_dir_all(low.join("etc")).unwrap();
        fs::create_dir_all(&top).unwrap();
        fs::write(
            low.join("etc/passwd"),
            "root:x:0:0::/:\napp:x:100:101::/:\n",
        )
        .unwrap();
        fs::write(low.join("etc/group"), "app:x:101:\nmore:x:102:other,app\n").unwrap();
        let layers = [top, low];
        let find = |text: &str| {
            find(text, &layers)
                .map(|found| found.map(|(name, user)| (name, user.uid, user.gid, user.groups)))
        };
        let user = |name: &str, uid, gid, groups: &[u32]| {
            Some((name.to_owned(), uid, gid, groups.to_vec()))
        };
        assert_eq!(find("").unwrap(), None);
        assert_eq!(find("app").unwrap(), user("app", 100, 101, &[102]));
        assert_eq!(find("100").unwrap(), user("app", 100, 101, &[102]));
        assert_eq!(find("app:more").unwrap(), user("app", 100, 102, &[]));
        assert_eq!(find("7:8").unwrap(), user("7", 7, 8, &[]));
        assert!(
            find("nobody")
                .unwrap_err()
                .to_string()
                .contains("no such user")
        );
        assert!(
            find("app:none")
                .unwrap_err()
                .to_string()
                .contains("no such group")
        );
    }
}

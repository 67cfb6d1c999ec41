//! The shape of one resource in the JSON of the Mesos v1 API, and its meaning.
//!
//! Owns the correspondence of fields; `json.rs` reads and writes whole lists.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    resources::{
        DiskInfo, DiskSource, Ranges, Reservation, ReservationKind, Resource, Scalar, Value,
    },
    role::Role,
};

#[derive(Serialize, Deserialize)]
pub(super) struct Entry {
    name: String,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scalar: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ranges: Option<RangeList>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set: Option<Items>,
    #[serde(default, skip_serializing)]
    role: Option<Role>,
    #[serde(default, skip_serializing)]
    reservation: Option<OldClaim>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reservations: Vec<Claim>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disk: Option<Disk>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revocable: Option<Empty>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shared: Option<Empty>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allocation_info: Option<Allocation>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Kind {
    Scalar,
    Ranges,
    Set,
}

#[derive(Serialize, Deserialize)]
struct Amount {
    value: Scalar,
}

#[derive(Default, Serialize, Deserialize)]
struct RangeList {
    #[serde(default)]
    range: Vec<Range>,
}

#[derive(Serialize, Deserialize)]
struct Range {
    begin: Whole,
    end: Whole,
}

/// A whole number; protobuf's JSON writes those of 64 bits as strings.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "WholeForm", into = "u64")]
struct Whole(u64);

#[derive(Deserialize)]
#[serde(untagged)]
enum WholeForm {
    Number(u64),
    Text(String),
}

impl TryFrom<WholeForm> for Whole {
    type Error = String;
    fn try_from(form: WholeForm) -> Result<Self, String> {
        match form {
            WholeForm::Number(number) => Ok(Self(number)),
            WholeForm::Text(text) => text
                .parse()
                .map(Self)
                .map_err(|_| format!("{text:?} is not a whole number")),
        }
    }
}

impl From<Whole> for u64 {
    fn from(whole: Whole) -> u64 {
        whole.0
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Items {
    #[serde(default)]
    item: BTreeSet<String>,
}

/// The claim of clients that know no stacks; the role stands beside it.
#[derive(Deserialize)]
struct OldClaim {
    #[serde(default)]
    principal: Option<String>,
    #[serde(default)]
    labels: Option<Labels>,
}

#[derive(Serialize, Deserialize)]
struct Claim {
    #[serde(rename = "type")]
    kind: ReservationKind,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<Labels>,
}

#[derive(Serialize, Deserialize)]
struct Labels {
    #[serde(default)]
    labels: Vec<Label>,
}

#[derive(Serialize, Deserialize)]
struct Label {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Serialize, Deserialize)]
struct Disk {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    persistence: Option<Persistence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    volume: Option<Volume>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
}

#[derive(Serialize, Deserialize)]
struct Persistence {
    id: String,
}

#[derive(Serialize, Deserialize)]
struct Volume {
    container_path: String,
    #[serde(default = "read_write")]
    mode: String,
}

fn read_write() -> String {
    "RW".to_owned()
}

#[derive(Serialize, Deserialize)]
struct Source {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<Root>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mount: Option<Root>,
}

#[derive(Serialize, Deserialize)]
struct Root {
    #[serde(default)]
    root: String,
}

#[derive(Serialize, Deserialize)]
struct Empty {}

#[derive(Serialize, Deserialize)]
struct Allocation {
    role: Role,
}

impl From<&Resource> for Entry {
    fn from(resource: &Resource) -> Self {
        let (mut scalar, mut ranges, mut set) = (None, None, None);
        let kind = match &resource.value {
            Value::Scalar(value) => {
                scalar = Some(Amount { value: *value });
                Kind::Scalar
            }
            Value::Ranges(value) => {
                ranges = Some(RangeList::from(value));
                Kind::Ranges
            }
            Value::Set(item) => {
                set = Some(Items { item: item.clone() });
                Kind::Set
            }
        };
        Self {
            name: resource.name.to_string(),
            kind,
            scalar,
            ranges,
            set,
            role: None,
            reservation: None,
            reservations: resource.reservations.iter().map(Claim::from).collect(),
            disk: resource.disk.as_deref().map(Disk::from),
            revocable: resource.revocable.then_some(Empty {}),
            shared: resource.shared.then_some(Empty {}),
            allocation_info: resource.allocation.clone().map(|role| Allocation { role }),
        }
    }
}

impl TryFrom<Entry> for Resource {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let missing = |field: &str| format!("{:?} has no field `{field}`", entry.name);
        let value = match entry.kind {
            Kind::Scalar => Value::Scalar(entry.scalar.ok_or_else(|| missing("scalar"))?.value),
            Kind::Ranges => entry.ranges.ok_or_else(|| missing("ranges"))?.try_into()?,
            Kind::Set => Value::Set(entry.set.ok_or_else(|| missing("set"))?.item),
        };
        let reservations = if entry.reservations.is_empty() {
            old_claim(entry.role, entry.reservation)
                .into_iter()
                .collect()
        } else {
            entry
                .reservations
                .into_iter()
                .map(Reservation::from)
                .collect()
        };
        Ok(Self {
            name: entry.name.into(),
            value,
            reservations,
            revocable: entry.revocable.is_some(),
            shared: entry.shared.is_some(),
            disk: entry
                .disk
                .map(DiskInfo::try_from)
                .transpose()?
                .map(Box::new),
            allocation: entry.allocation_info.map(|allocation| allocation.role),
        })
    }
}

/// The claim that clients without stacks of reservations mean: dynamic if they say by whom.
fn old_claim(role: Option<Role>, by: Option<OldClaim>) -> Option<Reservation> {
    let role = role.filter(|role| !role.is_star())?;
    let Some(OldClaim { principal, labels }) = by else {
        return Some(Reservation::fixed(role));
    };
    Some(Reservation {
        labels: label_map(labels),
        ..Reservation::dynamic(role, principal)
    })
}

impl From<&Ranges> for RangeList {
    fn from(ranges: &Ranges) -> Self {
        let write = |range: std::ops::RangeInclusive<u64>| Range {
            begin: Whole(*range.start()),
            end: Whole(*range.end()),
        };
        Self {
            range: ranges.iter().map(write).collect(),
        }
    }
}

impl TryFrom<RangeList> for Value {
    type Error = String;

    fn try_from(list: RangeList) -> Result<Self, String> {
        let read = |Range {
                        begin: Whole(begin),
                        end: Whole(end),
                    }| {
            let ordered = begin <= end;
            ordered
                .then_some((begin, end))
                .ok_or_else(|| format!("the range {begin}-{end} ends before it begins"))
        };
        let pairs = list
            .range
            .into_iter()
            .map(read)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Value::Ranges(pairs.into()))
    }
}

impl From<&Reservation> for Claim {
    fn from(claim: &Reservation) -> Self {
        let write = |(key, value): (&String, &String)| Label {
            key: key.clone(),
            value: value.clone(),
        };
        let labels = claim.labels.iter().map(write).collect();
        Self {
            kind: claim.kind,
            role: claim.role.clone(),
            principal: claim.principal.clone(),
            labels: (!claim.labels.is_empty()).then_some(Labels { labels }),
        }
    }
}

impl From<Claim> for Reservation {
    fn from(claim: Claim) -> Self {
        let Claim {
            kind,
            role,
            principal,
            labels,
        } = claim;
        Self {
            kind,
            role,
            principal,
            labels: label_map(labels),
        }
    }
}

fn label_map(labels: Option<Labels>) -> BTreeMap<String, String> {
    let pairs = labels.into_iter().flat_map(|list| list.labels);
    pairs.map(|label| (label.key, label.value)).collect()
}

impl From<&DiskInfo> for Disk {
    fn from(disk: &DiskInfo) -> Self {
        let volume = |path: &String| Volume {
            container_path: path.clone(),
            mode: read_write(),
        };
        Self {
            persistence: disk.persistence_id.clone().map(|id| Persistence { id }),
            volume: disk.container_path.as_ref().map(volume),
            source: disk.source.as_ref().map(Source::from),
        }
    }
}

impl TryFrom<Disk> for DiskInfo {
    type Error = String;

    fn try_from(disk: Disk) -> Result<Self, String> {
        if let Some(volume) = disk.volume.as_ref().filter(|volume| volume.mode != "RW") {
            let mode = &volume.mode;
            return Err(format!(
                "a volume of a disk has mode {mode:?}; it must be RW"
            ));
        }
        Ok(Self {
            persistence_id: disk.persistence.map(|persistence| persistence.id),
            container_path: disk.volume.map(|volume| volume.container_path),
            source: disk.source.map(DiskSource::try_from).transpose()?,
        })
    }
}

impl From<&DiskSource> for Source {
    fn from(source: &DiskSource) -> Self {
        let (kind, path, mount) = match source {
            DiskSource::Path { root } => ("PATH", Some(Root { root: root.clone() }), None),
            DiskSource::Mount { root } => ("MOUNT", None, Some(Root { root: root.clone() })),
        };
        Self {
            kind: kind.to_owned(),
            path,
            mount,
        }
    }
}

impl TryFrom<Source> for DiskSource {
    type Error = String;

    fn try_from(source: Source) -> Result<Self, String> {
        match (source.kind.as_str(), source.path, source.mount) {
            ("PATH", Some(Root { root }), _) => Ok(DiskSource::Path { root }),
            ("MOUNT", _, Some(Root { root })) => Ok(DiskSource::Mount { root }),
            ("PATH" | "MOUNT", ..) => Err("a disk source has no field with its root".to_owned()),
            (other, ..) => Err(format!("disk source {other:?} is neither PATH nor MOUNT")),
        }
    }
}

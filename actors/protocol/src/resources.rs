//! Resources of agents, offers and tasks, and their arithmetic.
//!
//! Owns the algebra (addition, subtraction, containment, selection), the rules for valid
//! resources, the text form and the JSON form of the Mesos v1 API. It does not own who
//! holds what; that is the allocator's.
//!
//! | part | file |
//! |---|---|
//! | [`Resources`]: arithmetic and sums | here |
//! | [`Resource`]: one entry, its identity; its [`Name`] | `resource.rs`, `name.rs` |
//! | [`Scalar`], [`Ranges`]: kinds of amounts | `scalar.rs`, `ranges.rs` |
//! | [`Quantities`]: amounts without identity | `quantities.rs` |
//! | [`Limits`]: bounds of amounts, where zero is one too | `limits.rs` |
//! | selections, roles, reservations | `select.rs` |
//! | [`Resources::find`] | `find.rs` |
//! | [`Resources::validate`] | `validate.rs` |
//! | text and its grammar | `text.rs`, `text/` |
//! | JSON of the Mesos v1 API | `json.rs` |
//!
//! # Example
//! ```
//! use tepui_protocol::Resources;
//! let agent: Resources = "cpus:4;mem:4096;ports:[31000-32000]".parse()?;
//! let task: Resources = "cpus:0.5;ports:[31000-31001]".parse()?;
//! let left = agent.checked_sub(&task).expect("the agent has them");
//! assert_eq!(left.to_string(), "cpus:3.5;mem:4096;ports:[31002-32000]");
//! # Ok::<(), tepui_protocol::resources::ParseError>(())
//! ```

mod find;
mod json;
pub mod limits;
mod name;
pub mod quantities;
mod ranges;
mod resource;
mod scalar;
mod select;
mod text;
mod validate;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    ops::{Add, AddAssign, Sub, SubAssign},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

pub use json::JsonError;
pub use limits::Limits;
pub use name::Name;
pub use quantities::Quantities;
pub use ranges::Ranges;
pub use resource::{DiskInfo, DiskSource, Reservation, ReservationKind, Resource, Value};
pub use scalar::{InvalidScalar, Scalar};
pub use text::ParseError;
pub use validate::InvalidResource;

/// Name of the scalar that counts processors.
pub const CPUS: &str = "cpus";
/// Name of the scalar that counts memory, in MiB.
pub const MEM: &str = "mem";
/// Name of the scalar that counts disk space, in MiB.
pub const DISK: &str = "disk";
/// Name of the scalar that counts whole GPUs.
pub const GPUS: &str = "gpus";
/// Name of the ranges of TCP and UDP ports.
pub const PORTS: &str = "ports";

/// A collection of resources. Entries of equal identity are merged, empty ones dropped and the rest
/// kept in one order, so that equal contents are equal values.
///
/// Arithmetic follows the identity of [`Resource`]: `cpus(a):1` is neither contained in `cpus:2` nor
/// subtracted from it. [`Resources::flatten`] forgets reservations and allocations.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Resource>")]
pub struct Resources(Vec<Resource>);

impl Resources {
    /// No resource.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Reads text such as `cpus:4;mem:4096;ports:[31000-32000];zones:{a,b}`; what occurs twice adds up.
    /// Text that starts with `[` is read as JSON, see [`Resources::from_json`].
    ///
    /// Blanks around words and signs, and empty items, mean nothing. Keywords are written as here.
    ///
    /// | | grammar |
    /// |---|---|
    /// | resources | item { `;` item } |
    /// | item | name { qualifier } `:` value |
    /// | value | scalar, ranges or set |
    /// | scalar | digits with an optional fraction; three decimals are kept |
    /// | ranges | `[` \[ range { `,` range } \] `]`; a range is `first-last` or one number |
    /// | set | `{` \[ word { `,` word } \] `}` |
    /// | qualifier | any of the following, each at most once, in any order |
    /// | static reservation | `(` role `)`; `(*)` means unreserved |
    /// | allocation | `(allocated:` role `)` |
    /// | stack of reservations | `(reservations:[` claim { `,` claim } `])` |
    /// | claim | `(` `STATIC` or `DYNAMIC` `,` role \[ `,` principal \] \[ `,` `{` key `:` word { `,` key `:` word } `}` \] `)` |
    /// | disk | `[` \[ `PATH:` root or `MOUNT:` root \] \[ `,` \] \[ persistence id \] \[ `:` container path \] `]` |
    /// | revocable | `{REV}` |
    /// | shared | `<SHARED>` |
    /// | name, role, word, ... | characters other than `()[]{}<>:;,"` and blanks, or a JSON string `"..."` |
    ///
    /// # Errors
    /// [`ParseError`] says which item is wrong, where and why. No text makes this panic.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        text::parse(text)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many entries there are; each copy of a shared resource counts.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The entries in their order: by name, then by what else tells them apart.
    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.0.iter()
    }

    /// Adds one resource; an empty one adds nothing.
    pub fn add_resource(&mut self, resource: Resource) {
        if resource.value.is_empty() {
            return;
        }
        // Most often they come in their order.
        if (self.0.last()).is_none_or(|last| last.cmp_entry(&resource).is_lt()) {
            return self.0.push(resource);
        }
        match self.position(&resource) {
            Ok(at) if !resource.is_whole() => self.0[at].value.add(&resource.value),
            Ok(at) | Err(at) => self.0.insert(at, resource),
        }
    }

    /// Takes away what is there of one resource; a whole one only if it is there as it is.
    pub fn subtract_resource(&mut self, resource: &Resource) {
        let Ok(at) = self.position(resource) else {
            return;
        };
        if resource.is_whole() {
            self.0.remove(at);
            return;
        }
        self.0[at].value.subtract(&resource.value);
        if self.0[at].value.is_empty() {
            self.0.remove(at);
        }
    }

    /// Whether all of `other` is here, entry by entry.
    pub fn contains(&self, other: &Resources) -> bool {
        other.iter().all(|want| match self.position(want) {
            Err(_) => want.value.is_empty(),
            Ok(_) if want.is_whole() => self.copies(want) >= other.copies(want),
            Ok(at) => self.0[at].value.contains(&want.value),
        })
    }

    /// What is left without `other`, or none when not all of `other` is here.
    pub fn checked_sub(&self, other: &Resources) -> Option<Resources> {
        self.contains(other).then(|| self - other)
    }

    /// The sum of all scalars of that name, whatever their reservation. Copies of a shared resource
    /// count once.
    pub fn scalar(&self, name: &str) -> Scalar {
        self.distinct()
            .filter(|entry| entry.name == name)
            .filter_map(Resource::amount)
            .sum()
    }

    /// The processors.
    pub fn cpus(&self) -> Scalar {
        self.scalar(CPUS)
    }

    /// The memory, in MiB.
    pub fn mem(&self) -> Scalar {
        self.scalar(MEM)
    }

    /// The disk space, in MiB.
    pub fn disk(&self) -> Scalar {
        self.scalar(DISK)
    }

    /// The GPUs.
    pub fn gpus(&self) -> Scalar {
        self.scalar(GPUS)
    }

    /// The numbers of all ranges of that name; none when there are no such ranges.
    pub fn ranges(&self, name: &str) -> Option<Ranges> {
        let mut all: Option<Ranges> = None;
        for entry in self.iter().filter(|entry| entry.name == name) {
            if let Value::Ranges(ranges) = &entry.value {
                *all.get_or_insert_default() += ranges;
            }
        }
        all
    }

    /// The ports; none when there are none.
    pub fn ports(&self) -> Option<Ranges> {
        self.ranges(PORTS)
    }

    /// The names that occur, ascending, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let runs = self.0.chunk_by(|a, b| a.name == b.name);
        runs.map(|run| run[0].name.as_str())
    }

    /// The amounts of all scalars by name. Copies of a shared resource count once.
    pub fn quantities(&self) -> Quantities {
        let mut amounts = Quantities::new();
        for entry in self.distinct() {
            if let Value::Scalar(amount) = entry.value {
                amounts.add_amount(&entry.name, amount);
            }
        }
        amounts
    }

    fn position(&self, resource: &Resource) -> Result<usize, usize> {
        self.0.binary_search_by(|entry| entry.cmp_entry(resource))
    }

    /// How many entries are equal to a whole resource.
    fn copies(&self, whole: &Resource) -> usize {
        self.iter().filter(|entry| *entry == whole).count()
    }

    /// The entries, of copies of a shared resource only the first. Other whole resources never occur
    /// twice on one agent, and count each time where agents are added up.
    fn distinct(&self) -> impl Iterator<Item = &Resource> {
        let mut last: Option<&Resource> = None;
        self.iter().filter(move |entry| {
            let copy = entry.shared && last == Some(entry);
            last = Some(entry);
            !copy
        })
    }
}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Resources) {
        for more in other {
            match self.position(more) {
                Ok(at) if !more.is_whole() => self.0[at].value.add(&more.value),
                Ok(at) | Err(at) => self.0.insert(at, more.clone()),
            }
        }
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Resources) {
        self.extend(other);
    }
}

impl Add<&Resources> for &Resources {
    type Output = Resources;
    fn add(self, other: &Resources) -> Resources {
        self.clone() + other
    }
}

impl Add<&Resources> for Resources {
    type Output = Resources;
    fn add(mut self, other: &Resources) -> Resources {
        self += other;
        self
    }
}

impl Add for Resources {
    type Output = Resources;
    fn add(mut self, other: Resources) -> Resources {
        self += other;
        self
    }
}

impl SubAssign<&Resources> for Resources {
    fn sub_assign(&mut self, other: &Resources) {
        other.iter().for_each(|less| self.subtract_resource(less));
    }
}

impl Sub<&Resources> for &Resources {
    type Output = Resources;
    /// Takes away what is there of `other`.
    fn sub(self, other: &Resources) -> Resources {
        self.clone() - other
    }
}

impl Sub<&Resources> for Resources {
    type Output = Resources;
    /// Takes away what is there of `other`.
    fn sub(mut self, other: &Resources) -> Resources {
        self -= other;
        self
    }
}

impl<'a> std::iter::Sum<&'a Resources> for Resources {
    fn sum<I: Iterator<Item = &'a Resources>>(all: I) -> Resources {
        all.fold(Resources::new(), |sum, more| sum + more)
    }
}

impl std::iter::Sum for Resources {
    fn sum<I: Iterator<Item = Resources>>(all: I) -> Resources {
        all.fold(Resources::new(), Add::add)
    }
}

impl Extend<Resource> for Resources {
    fn extend<I: IntoIterator<Item = Resource>>(&mut self, resources: I) {
        resources
            .into_iter()
            .for_each(|resource| self.add_resource(resource));
    }
}

impl FromIterator<Resource> for Resources {
    fn from_iter<I: IntoIterator<Item = Resource>>(resources: I) -> Self {
        let mut all = Self::new();
        all.extend(resources);
        all
    }
}

impl From<Vec<Resource>> for Resources {
    fn from(resources: Vec<Resource>) -> Self {
        resources.into_iter().collect()
    }
}

impl From<Resource> for Resources {
    fn from(resource: Resource) -> Self {
        Self::from_iter([resource])
    }
}

impl IntoIterator for Resources {
    type Item = Resource;
    type IntoIter = std::vec::IntoIter<Resource>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Resource;
    type IntoIter = std::slice::Iter<'a, Resource>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromStr for Resources {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resources({self})")
    }
}

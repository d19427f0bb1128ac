//! Error groups over time: when each was first and last seen, how often, in which versions, and what people decided about it.
//!
//! Which records are one group the store says (`taffrail_ingest::error_group`); here is what becomes of a group. Pure: records and
//! moments come in, events (a group is new, a resolved one is back) go out, and whoever calls keeps the groups that changed.
//!
//! Reading order: [`group`] (one group and its states), [`version`] (which is older), [`tracker`] (all groups).

pub mod group;
pub mod tracker;
pub mod version;

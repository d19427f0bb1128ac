//! The quick way from the members of a flat object to a record's parts: when no two of them want the same place and each is of
//! the kind that its name promises, as in nearly every line.
//!
//! Whatever needs a decision ([`Fields`](super::fields::Fields) takes those) or a note is left to it; where both read a line
//! they give the same parts: that is property-tested beside [`flat_json`](super::flat_json).

use std::borrow::Cow;
use std::sync::Arc;

use super::fields::{LEVEL_BYTES_MAX, Parts};
use super::flat_json::{Member, scan};
use super::names::{Names, Role};
use super::severity;
use super::timestamp::{self, Setting};
use super::trace_context::{Context, is_no_id};
use crate::model::Attributes;

/// The parts of the flat object that `text` is; none when it must be read the long way. `members` is a buffer; the attributes
/// are gathered in `room`, which is empty and stays so when there are none.
pub(super) fn parts<'a>(
    text: &'a str,
    names: &mut Names,
    setting: Setting<'_>,
    members: &mut Vec<Member>,
    room: &mut Attributes,
) -> Option<Parts<'a>> {
    names.next_record();
    scan(text, names, members)?;
    let parts = sorted(text, names, setting, members, room);
    if parts.is_none() {
        room.clear();
    }
    parts
}

fn sorted<'a>(
    text: &'a str,
    names: &mut Names,
    setting: Setting<'_>,
    members: &[Member],
    room: &mut Attributes,
) -> Option<Parts<'a>> {
    let (mut time, mut severity, mut body, mut host, mut service) = (None, None, None, None, None);
    let mut context = Context::default();
    for member in members {
        let name = member.name;
        let role = names.role(name);
        if role == Role::Attribute {
            if names.position(name).is_some() {
                return None;
            }
            names.keep(name, room.len());
            room.push((Arc::clone(names.text(name)), member.given(text).into_value()));
            continue;
        }
        if let Role::Body(_) = role {
            // What `log` holds is Docker's.
            if body.is_some() || **names.text(name) == *"log" {
                return None;
            }
            body = Some(member.text(text)?);
            continue;
        }
        let given = member.plain_text(text).filter(|given| !given.is_empty())?;
        let is_free = match role {
            Role::Time(_) => time.replace(timestamp::whole(given, setting)?).is_none(),
            Role::Level(_) if given.len() <= LEVEL_BYTES_MAX => {
                severity.replace((severity::of_field(given).unwrap_or_default(), given)).is_none()
            }
            Role::Host(_) => host.replace(given).is_none(),
            Role::Service(_) => service.replace(given).is_none(),
            Role::Context(_, form) if form.is_plain() && !is_no_id(given) => {
                let Context { trace, span } = form.read(given)?;
                let is_free =
                    trace.is_none_or(|_| context.trace.is_none()) && span.is_none_or(|_| context.span.is_none());
                context = Context { trace: trace.or(context.trace), span: span.or(context.span) };
                is_free
            }
            _ => false,
        };
        if !is_free {
            return None;
        }
    }
    Some(Parts {
        attributes: std::mem::take(room),
        time,
        severity: severity.map(|(severity, word)| (severity, Cow::Borrowed(word))),
        body,
        host: host.map(Cow::Borrowed),
        service: service.map(Cow::Borrowed),
        context,
    })
}

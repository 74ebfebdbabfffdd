//! `condition: sun`: it is before or after today's sunrise or sunset, perhaps by some time.
//!
//! `before: sunrise` with `after: sunset` together mean the night: before today's sunrise or after
//! today's sunset. At the event itself it has happened. Where the sun does not do that today, the condition is not fulfilled.

use super::Scene;
use crate::calendar::SunEvent;
use crate::reader::Reader;
use crate::trace::Saw;
use crate::trigger::sun::EVENTS;
use gable_devices::Timestamp;
use gable_devices::yaml::Fields;

/// What the sun has to have done, or not yet, with offsets in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SunCondition {
    before: Option<(SunEvent, i64)>,
    after: Option<(SunEvent, i64)>,
}

impl SunCondition {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<SunCondition> {
        let before = fields.choice("before", &EVENTS);
        let after = fields.choice("after", &EVENTS);
        let before_offset = reader.offset(fields, "before_offset").unwrap_or(0);
        let after_offset = reader.offset(fields, "after_offset").unwrap_or(0);
        if !fields.has("before") && !fields.has("after") {
            fields.fail("needs one of `before`, `after`");
        }
        Some(SunCondition {
            before: before.map(|event| (event, before_offset)),
            after: after.map(|event| (event, after_offset)),
        })
    }

    pub(super) fn holds(&self, scene: &Scene<'_>) -> Result<bool, String> {
        let (now, calendar) = (scene.rows.now, scene.rows.calendar());
        if calendar.sun.is_none() {
            return Err("the home's latitude and longitude are not known".to_owned());
        }
        let today = calendar.local(now).date();
        let instant = |(event, offset): (SunEvent, i64)| {
            let at = calendar.sun_on(event, today)?;
            Some(Timestamp(at.0.saturating_add(offset)))
        };
        for (word, limit) in [("before", self.before), ("from", self.after)] {
            let Some((event, offset)) = limit else { continue };
            scene.saw(|| {
                let text = |at| format!("{:.0}", calendar.local(at));
                let at = instant((event, offset)).map_or("never today".to_owned(), text);
                Saw::new("the time", text(now), format!("{word} {at}"))
            });
        }
        let is_before = self.before.map(|limit| instant(limit).map(|limit| now < limit));
        let is_after = self.after.map(|limit| instant(limit).map(|limit| now >= limit));
        let is_night = matches!(self.before, Some((SunEvent::Rising, _)))
            && matches!(self.after, Some((SunEvent::Setting, _)));
        Ok(match (is_before, is_after) {
            (Some(before), Some(after)) if is_night => before.zip(after).is_some_and(|(a, b)| a || b),
            (before, after) => {
                before.unwrap_or(Some(true)) == Some(true) && after.unwrap_or(Some(true)) == Some(true)
            }
        })
    }
}

//! `taffrail deploys`: which deploys there were, and what one of them changed.

use std::fmt::Write;

use clap::Args;
use serde_json::Value;

use super::annotate;
use super::client::Client;
use super::terminal::{Format, harmless, print_line, print_remark};
use super::{Outcome, ServerChoice, until_interrupted};

/// Which deploys.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  taffrail deploys --from now-7d
  taffrail deploys 9f86d081884c7d65                          # what it changed, before and since
  taffrail deploys latest --service web
  taffrail deploys latest --canary version:1.2.3             # the canary and the rest")]
pub struct DeploysArguments {
    /// The deploy to look at, or `latest`; without it deploys are listed
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Only deploys of this service
    #[arg(long)]
    service: Option<String>,
    /// Listed from when
    #[arg(long, value_name = "TIME", default_value = "now-7d")]
    from: String,
    /// How long before and after it is looked
    #[arg(long, value_name = "SPAN", requires = "id")]
    window: Option<String>,
    /// A field and its value: what these records do and the others do not
    #[arg(long, value_name = "FIELD:VALUE", requires = "id")]
    canary: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// Lists deploys, or tells what one changed.
pub fn run(arguments: DeploysArguments) -> Outcome {
    until_interrupted(async {
        let client = Client::new(&arguments.server.server)?;
        let format = Format::choose(arguments.json);
        let listed = async || {
            let mut parameters = vec![("kind", "deploy"), ("from", arguments.from.as_str())];
            parameters.extend(arguments.service.as_deref().map(|service| ("service", service)));
            let answer = client.ask("/api/v1/annotations", &parameters).await?;
            anyhow::Ok(answer["annotations"].as_array().cloned().unwrap_or_default())
        };
        let Some(id) = &arguments.id else {
            for deploy in listed().await? {
                print_line(&annotate::line(&deploy, format))?;
            }
            return Ok(());
        };
        let id = match id.as_str() {
            "latest" => match listed().await?.last() {
                Some(deploy) => deploy["id"].as_str().unwrap_or_default().to_owned(),
                None => {
                    print_remark("there was no such deploy");
                    return Ok(());
                }
            },
            id => id.to_owned(),
        };
        let mut parameters = Vec::new();
        parameters.extend(arguments.window.as_deref().map(|window| ("window", window)));
        parameters.extend(arguments.canary.as_deref().map(|canary| ("canary", canary)));
        let path = format!("/api/v1/deploys/{}", annotate::path_segment(&id));
        let answer = client.ask(&path, &parameters).await?;
        let text = if format == Format::Json { answer.to_string() } else { told(&answer) };
        text.lines().try_for_each(print_line)?;
        if let Some(why) = answer["summary"]["partial"].as_str() {
            print_remark(&format!("the answer is not complete: {}", harmless(why, Format::Plain)));
        }
        Ok(())
    })
}

/// What a deploy changed, in lines.
fn told(answer: &Value) -> String {
    let mut text = annotate::line(&answer["deploy"], Format::Plain);
    let clean = |value: &Value| harmless(value.as_str().unwrap_or_default(), Format::Plain);
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    match list("worse").as_slice() {
        [] => text.push_str("\nnothing got worse"),
        worse => worse.iter().for_each(|one| {
            let _ = write!(text, "\nworse: {}", clean(one));
        }),
    }
    for one in list("services") {
        let share = |side: &str| one["error_share"][side].as_f64().unwrap_or(0.0) * 100.0;
        let _ = write!(
            text,
            "\nerrors {} {}: {} -> {} ({:.2} % -> {:.2} % of its records)",
            clean(&one["change"]),
            clean(&one["service"]),
            one["before"]["count"],
            one["after"]["count"],
            share("before"),
            share("after")
        );
    }
    for one in list("errors") {
        let _ = write!(
            text,
            "\nerror group {} {}: {} {} in {}, {} -> {}",
            clean(&one["change"]),
            clean(&one["id"]),
            clean(&one["type"]),
            clean(&one["message"]),
            clean(&one["culprit"]),
            one["before"]["count"],
            one["after"]["count"]
        );
    }
    for one in list("timers") {
        let p95 = |side: &str| one[side]["p95"].as_f64().map_or_else(|| "-".to_owned(), |p95| format!("{p95:.1}"));
        let (name, unit) = (clean(&one["metric"]), clean(&one["unit"]));
        let _ = write!(text, "\ntimer {name}: p95 {} -> {} {unit}", p95("before"), p95("after"));
    }
    for one in list("patterns") {
        let _ = write!(
            text,
            "\npattern {} {}: {} -> {} {}",
            clean(&one["change"]),
            clean(&one["id"]),
            one["before"]["count"],
            one["after"]["count"],
            clean(&one["pattern"])
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_deploy_changed_is_told_in_lines() {
        let sides = |before: u64, after: u64| json!({ "change": "new", "before": { "count": before }, "after": { "count": after } });
        let mut service = sides(1, 40);
        service["service"] = "web".into();
        service["error_share"] = json!({ "before": 0.01, "after": 0.5 });
        let mut group = sides(0, 40);
        group["id"] = "ab".into();
        group["type"] = "TypeError".into();
        group["message"] = "no\ntea".into();
        group["culprit"] = "total".into();
        let timer = json!({ "metric": "t", "unit": "ms", "before": { "p95": 10.0 }, "after": { "p95": null } });
        let answer = json!({
            "deploy": { "time": "T", "kind": "deploy", "service": "web", "version": "2", "text": "", "author": "", "links": [], "id": "d" },
            "worse": ["errors of web"], "services": [service], "errors": [group], "timers": [timer], "patterns": [],
        });
        let expected = "T deploy web 2 (d)\nworse: errors of web\nerrors new web: 1 -> 40 (1.00 % -> 50.00 % of its records)\n\
            error group new ab: TypeError no\\ntea in total, 0 -> 40\ntimer t: p95 10.0 -> - ms";
        assert_eq!(told(&answer), expected);
    }
}

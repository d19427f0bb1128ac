//! Variables of Grafana (`templating.list`).

use serde_json::Value;
use serde_saphyr::Spanned;
use taffrail_query::promql;

use super::super::model::Variable;
use super::super::variables::check_filled;
use super::{Notes, bare, list_of, modern_names, plain, text_of};

/// What stands for "all of them".
const ALL: &str = "$__all";

/// All variables that can be mapped.
pub fn all(value: &Value, notes: &mut Notes) -> Vec<Spanned<Variable>> {
    list_of(&value["templating"], "list").iter().filter_map(|variable| map(variable, notes)).map(bare).collect()
}

fn map(value: &Value, notes: &mut Notes) -> Option<Variable> {
    let name = text_of(value, "name")?;
    let mut variable = Variable {
        name: name.to_owned(),
        title: text_of(value, "label").filter(|label| !label.is_empty()).map(str::to_owned),
        multi: value["multi"] == true,
        all: value["includeAll"] == true,
        hidden: value["hide"] == 2,
        default: chosen(value),
        ..Variable::default()
    };
    let query = text_of(value, "query").or_else(|| text_of(&value["query"], "query")).unwrap_or_default();
    match text_of(value, "type").unwrap_or("query") {
        // Panels ask this server, whatever data source was chosen.
        "datasource" => return None,
        "query" => {
            values_of_label(query, &mut variable, notes);
            let regex = text_of(value, "regex").unwrap_or_default();
            let regex = regex.strip_prefix('/').and_then(|regex| regex.strip_suffix('/')).unwrap_or(regex);
            if regex::Regex::new(regex).is_err() {
                notes.add("variables", format!("the regular expression of ${name}: {regex}"));
            } else if !regex.is_empty() {
                variable.regex = Some(plain(regex));
            }
        }
        "custom" | "interval" => {
            // A value may have a text of its own before a colon.
            let values = query.split(',').map(|one| one.rsplit(" : ").next().unwrap_or(one).trim());
            variable.values = values.filter(|one| !one.is_empty()).map(str::to_owned).collect();
            if variable.values.is_empty() {
                notes.add("variables", format!("${name} has no values: it is a text to type here"));
            }
        }
        "constant" => {
            variable.values = vec![query.to_owned()];
            variable.hidden = true;
        }
        "textbox" => {
            if variable.default.is_empty() && !query.is_empty() {
                variable.default = vec![query.to_owned()];
            }
        }
        kind => {
            notes.add("variables", format!("${name}, a variable of type `{kind}`"));
            return None;
        }
    }
    let all_value = text_of(value, "allValue").unwrap_or_default();
    if variable.all && !["", ".*", ".+"].contains(&all_value) {
        notes.add("variables", format!("what `All` of ${name} stands for ({all_value}): here it is every value"));
    }
    if !variable.values.is_empty() {
        variable.default.retain(|one| variable.values.contains(one));
    }
    if !variable.multi {
        variable.default.truncate(1);
    }
    Some(variable)
}

/// `label_values(label)` and `label_values(selector, label)`, as Grafana's Prometheus data source has them.
fn values_of_label(query: &str, variable: &mut Variable, notes: &mut Notes) {
    let inside = query.trim().strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    let Some(inside) = inside else {
        let name = &variable.name;
        notes.add("variables", format!("the values of ${name} (`{query}`): it is a text to type here"));
        return;
    };
    let (selector, label) = inside.rsplit_once(',').map_or(("", inside), |(selector, label)| (selector, label));
    variable.label = Some(label.trim().trim_matches('"').to_owned());
    let selector = modern_names(selector.trim());
    if selector.is_empty() {
        return;
    }
    match check_filled(&selector, promql::only_selector) {
        Ok(_) => variable.of = Some(plain(&selector)),
        Err(_) => notes.add("variables", format!("what narrows the values of ${} (`{selector}`)", variable.name)),
    }
}

/// What was chosen when the dashboard was saved; "all" is chosen by saying nothing.
fn chosen(value: &Value) -> Vec<String> {
    let current = &value["current"]["value"];
    let texts = current.as_array().map_or_else(|| vec![current], |list| list.iter().collect());
    let texts = texts.into_iter().filter_map(Value::as_str);
    texts.filter(|text| *text != ALL && !text.is_empty()).map(str::to_owned).collect()
}

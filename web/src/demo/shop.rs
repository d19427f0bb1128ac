//! What happens in the shop: who comes when, what they ask for, and how it ends. Pure: time and chance come from outside.
//!
//! Every request enters at `web`. Some ask `checkout` for an order, and it asks `payment` to charge a card. A day of this
//! shop lasts twenty minutes. Its story: `checkout` 1.4.2 works well; 1.5.0 is slow and runs out of connections; 1.4.3 is
//! the way back. In the hour before, the bank was slow for some minutes.

use std::time::Duration;

use taffrail_collector::model::{SpanId, Timestamp, TraceId};

use super::dice::Dice;

/// How long the shop's day is.
const DAY_SECONDS: f64 = 1_200.0;

/// What `payment` waits for the bank at most.
pub const BANK_TIMEOUT: Duration = Duration::from_millis(3_000);

/// When things change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Story {
    /// 1.4.2 replaces 1.4.1.
    pub good_release: Timestamp,
    /// The bank is slow from here …
    pub slow_bank_from: Timestamp,
    /// … to here.
    pub slow_bank_until: Timestamp,
    /// 1.5.0 replaces 1.4.2.
    pub bad_release: Timestamp,
    /// 1.4.3 replaces 1.5.0.
    pub rollback: Timestamp,
}

/// The shop and those who come.
#[derive(Clone, Debug)]
pub struct Shop {
    story: Story,
    dice: Dice,
    requests_per_second_max: f64,
    next_order: u64,
}

/// One request from its start to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// When it entered.
    pub started: Timestamp,
    /// Its trace.
    pub trace_id: TraceId,
    /// `web`'s part of it.
    pub span_id: SpanId,
    /// Who asks.
    pub user: u64,
    /// What for.
    pub page: Page,
    /// Which product it is about, on pages that are about one.
    pub product: u64,
    /// The answer.
    pub status: u16,
    /// From start to answer.
    pub took: Duration,
    /// Whether `web` had to build the page anew.
    pub cache_miss: bool,
    /// What `checkout` did, if it was asked.
    pub order: Option<Order>,
}

/// The shop's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The front page.
    Home,
    /// The list.
    Products,
    /// One product.
    Product,
    /// Something is put into the cart.
    Cart,
    /// The cart is paid.
    Checkout,
}

/// An order at `checkout`.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its number.
    pub id: u64,
    /// What it costs.
    pub cents: u64,
    /// `checkout`'s part of the trace.
    pub span_id: SpanId,
    /// When `checkout` was asked, from the request's start.
    pub after: Duration,
    /// From there to its answer.
    pub took: Duration,
    /// The version that took it.
    pub version: &'static str,
    /// Database connections in use, of [`Order::CONNECTIONS`].
    pub connections: u64,
    /// What `payment` did; none when the order failed before.
    pub payment: Option<Payment>,
}

/// A charge at `payment`.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    /// `payment`'s part of the trace.
    pub span_id: SpanId,
    /// When `payment` was asked, from the request's start.
    pub after: Duration,
    /// From there to its answer.
    pub took: Duration,
    /// The last four digits of the card.
    pub card: u64,
    /// How it ended.
    pub end: PaymentEnd,
}

/// How a charge ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentEnd {
    /// Paid.
    Approved,
    /// The bank says no, for this reason.
    Declined(&'static str),
    /// The bank does not answer.
    TimedOut,
}

impl Order {
    /// Database connections that `checkout` has.
    pub const CONNECTIONS: u64 = 10;
}

impl Page {
    /// Method and route.
    pub fn route(self) -> (&'static str, &'static str) {
        match self {
            Page::Home => ("GET", "/"),
            Page::Products => ("GET", "/products"),
            Page::Product => ("GET", "/products/:id"),
            Page::Cart => ("POST", "/cart"),
            Page::Checkout => ("POST", "/checkout"),
        }
    }
}

impl PaymentEnd {
    /// The word for it in tags.
    pub fn outcome(self) -> &'static str {
        match self {
            PaymentEnd::Approved => "approved",
            PaymentEnd::Declined(_) => "declined",
            PaymentEnd::TimedOut => "timeout",
        }
    }
}

impl Story {
    /// The story of a demonstration that starts at `start`.
    pub fn new(start: Timestamp, bad_release_after: Duration, bad_release_lasts: Duration) -> Story {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let bad_release = start.saturating_add(bad_release_after);
        Story {
            good_release: start.saturating_sub(minutes(40)),
            slow_bank_from: start.saturating_sub(minutes(25)),
            slow_bank_until: start.saturating_sub(minutes(20)),
            bad_release,
            rollback: bad_release.saturating_add(bad_release_lasts),
        }
    }

    /// Which version of `checkout` runs at a moment.
    pub fn version(&self, moment: Timestamp) -> &'static str {
        match moment {
            _ if moment < self.good_release => "1.4.1",
            _ if moment < self.bad_release => "1.4.2",
            _ if moment < self.rollback => "1.5.0",
            _ => "1.4.3",
        }
    }

    /// When `checkout` is deployed.
    pub fn deployments(&self) -> [Timestamp; 3] {
        [self.good_release, self.bad_release, self.rollback]
    }

    fn bank_is_slow(&self, moment: Timestamp) -> bool {
        (self.slow_bank_from..self.slow_bank_until).contains(&moment)
    }
}

impl Shop {
    /// A shop whose busiest hour brings this many requests a second.
    pub fn new(story: Story, seed: u64, requests_per_second_max: f64) -> Shop {
        let mut dice = Dice::new(seed);
        let next_order = 10_000 + dice.below(80_000);
        Shop { story, dice, requests_per_second_max, next_order }
    }

    /// How long after `moment` the next request enters: by the time of the shop's day, never more often than the bound
    /// on average.
    pub fn wait(&mut self, moment: Timestamp) -> Duration {
        let hour = (moment.unix_seconds() / DAY_SECONDS * std::f64::consts::TAU).sin();
        let per_second = self.requests_per_second_max * (0.65 + 0.35 * hour);
        Duration::from_secs_f64(self.dice.wait(1.0 / per_second))
    }

    /// A request that enters at `started`.
    pub fn request(&mut self, started: Timestamp) -> Request {
        let pages = [Page::Product, Page::Products, Page::Home, Page::Checkout, Page::Cart];
        let page = self.dice.favourite(&pages);
        let trace_id = self.trace_id();
        let span_id = self.span_id();
        let user = 1_000 + self.dice.favourite(&USERS);
        let product = 1 + self.dice.below(120);
        let cache_miss = page == Page::Product && self.dice.happens(0.08);
        let own = millis(self.dice.latency(if cache_miss { 60.0 } else { 9.0 }, 0.5));
        let order = (page == Page::Checkout).then(|| self.order(started, own / 2));
        let status = match &order {
            None if page == Page::Product && self.dice.happens(0.01) => 404,
            None => 200,
            Some(Order { payment: None, .. }) => 503,
            Some(Order { payment: Some(payment), .. }) => match payment.end {
                PaymentEnd::Approved => 201,
                PaymentEnd::Declined(_) => 402,
                PaymentEnd::TimedOut => 504,
            },
        };
        let took = own + order.as_ref().map_or(Duration::ZERO, |order| order.took);
        Request { started, trace_id, span_id, user, page, product, status, took, cache_miss, order }
    }

    fn order(&mut self, started: Timestamp, after: Duration) -> Order {
        self.next_order += 1;
        let version = self.story.version(started);
        let bad = version == "1.5.0";
        let own = millis(self.dice.latency(if bad { 190.0 } else { 24.0 }, 0.45));
        let span_id = self.span_id();
        let fails = bad && self.dice.happens(0.22);
        let connections = match (fails, bad) {
            (true, _) => Order::CONNECTIONS,
            (false, true) => 7 + self.dice.below(3),
            (false, false) => 1 + self.dice.below(4),
        };
        let payment = (!fails).then(|| self.payment(started, after + own / 2));
        let took = own + payment.as_ref().map_or(Duration::ZERO, |payment| payment.took);
        let cents = 490 + self.dice.below(90) * 100 + self.dice.below(2) * 50;
        Order { id: self.next_order, cents, span_id, after, took, version, connections, payment }
    }

    fn payment(&mut self, started: Timestamp, after: Duration) -> Payment {
        let slow = self.story.bank_is_slow(started);
        let span_id = self.span_id();
        let took = millis(self.dice.latency(if slow { 1_400.0 } else { 65.0 }, 0.6));
        let timed_out = took >= BANK_TIMEOUT || self.dice.happens(0.006);
        let end = if timed_out {
            PaymentEnd::TimedOut
        } else if self.dice.happens(0.04) {
            PaymentEnd::Declined(self.dice.favourite(&["insufficient funds", "card expired", "suspected fraud"]))
        } else {
            PaymentEnd::Approved
        };
        let took = if timed_out { BANK_TIMEOUT } else { took };
        Payment { span_id, after, took, card: 1_000 + self.dice.below(9_000), end }
    }

    fn trace_id(&mut self) -> TraceId {
        let bits = u128::from(self.dice.bits()) << 64 | u128::from(self.dice.bits());
        TraceId::new(bits | 1).expect("an odd number is not zero")
    }

    fn span_id(&mut self) -> SpanId {
        SpanId::new(self.dice.bits() | 1).expect("an odd number is not zero")
    }
}

/// The shop's customers, the most faithful first.
const USERS: [u64; 400] = {
    let mut users = [0; 400];
    let mut at = 0;
    while at < users.len() {
        users[at] = at as u64;
        at += 1;
    }
    users
};

fn millis(millis: f64) -> Duration {
    Duration::from_secs_f64(millis / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn story() -> Story {
        Story::new(START, Duration::from_secs(240), Duration::from_secs(240))
    }

    /// A thousand orders at a moment: the share that failed, and the median time in milliseconds.
    fn orders(moment: Timestamp) -> (f64, u128) {
        let mut shop = Shop::new(story(), 1, 30.0);
        let mut orders = Vec::new();
        while orders.len() < 1_000 {
            orders.extend(shop.request(moment).order.map(|order| (order.payment.is_none(), order.took.as_millis())));
        }
        orders.sort_by_key(|order| order.1);
        (orders.iter().filter(|order| order.0).count() as f64 / 1_000.0, orders[500].1)
    }

    #[test]
    fn the_bad_release_fails_and_is_slow_until_the_rollback() {
        let after = |seconds| START.saturating_add(Duration::from_secs(seconds));
        let (before, bad, later) = (orders(after(0)), orders(after(300)), orders(after(600)));
        assert_eq!((before.0, later.0), (0.0, 0.0));
        assert!(bad.0 > 0.15, "{bad:?}");
        assert!(bad.1 > 2 * before.1 && later.1 < before.1 * 2, "{before:?} {bad:?} {later:?}");
        assert_eq!(story().version(after(300)), "1.5.0");
        assert_eq!(story().version(after(480)), "1.4.3");
    }

    #[test]
    fn a_seed_brings_the_same_requests() {
        let day = |seed| {
            let mut shop = Shop::new(story(), seed, 30.0);
            (0..50).map(|_| shop.request(START)).collect::<Vec<_>>()
        };
        assert_eq!(day(3), day(3));
        assert_ne!(day(3), day(4));
    }

    #[test]
    fn over_a_day_requests_come_at_two_thirds_of_the_bound() {
        let mut shop = Shop::new(story(), 1, 30.0);
        let (mut moment, mut requests) = (START, 0);
        while moment < START.saturating_add(Duration::from_secs_f64(DAY_SECONDS)) {
            moment = moment.saturating_add(shop.wait(moment));
            requests += 1;
        }
        assert!((22_000..25_000).contains(&requests), "{requests}");
    }
}

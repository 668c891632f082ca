//! What a client hears, and what it makes of it.

use super::*;

impl Line {
    pub(super) fn told(&mut self, now: Now, told: Told, scene: &mut Scene) {
        match told {
            Told::Connected(_) => self.connected = true,
            Told::Receipt { id } if mischief::is_ours(&id) => scene.count("a receipt for mischief"),
            Told::Receipt { id } => match id.parse().ok().and_then(|number: u32| self.requests.remove(&number)) {
                None => scene.complain(format!("a receipt {id} that nobody waits for")),
                Some(request) => self.answered(request, scene),
            },
            Told::Message(message) if mischief::is_ours(message.subscription()) => {
                scene.count("a delivery for mischief");
            }
            Told::Message(message) => self.delivered(now, &message, scene),
            Told::BrowseEnd { subscription } if mischief::is_ours(&subscription) => {}
            Told::BrowseEnd { subscription } => {
                let ended = self
                    .subscriptions
                    .iter()
                    .find(|known| *known.id == *subscription)
                    .and_then(|known| known.browse);
                match ended {
                    // One who is superseded does not have what waits now.
                    Some(_) if scene.superseded => {}
                    Some(browse) => scene.push(Event::BrowseEnded(browse)),
                    None => scene.complain(format!("the end of a browser {subscription} that does not exist")),
                }
                self.browsed = true;
            }
            Told::Error(error) => {
                let request = error
                    .receipt()
                    .and_then(|id| id.parse().ok())
                    .and_then(|number: u32| self.requests.remove(&number));
                let about = request.as_ref().map(|request| match request {
                    Request::Send(_) => "SEND",
                    Request::Settle(_) => "ACK",
                    Request::Commit(_) => "COMMIT",
                    Request::Subscribe(_) => "SUBSCRIBE",
                    Request::Unsubscribe(_) => "UNSUBSCRIBE",
                    Request::Disconnect => "DISCONNECT",
                });
                if let Some(limit) = refusal::limit_of(error.message(), &error.explanation()) {
                    scene.count(limit);
                }
                if self.expects_errors {
                    scene.count("an ERROR for mischief or slowness");
                } else {
                    scene.complain(format!(
                        "ERROR {} ({}) for {}",
                        error.message(),
                        error.explanation().trim(),
                        about.unwrap_or("no request")
                    ));
                }
                match request {
                    Some(Request::Send(parcel)) => scene.push(Event::Refused(parcel.sending.body)),
                    Some(Request::Commit(open)) => {
                        scene.push(Event::RolledBack(open.transaction));
                        self.reopen(open.settled);
                    }
                    Some(
                        Request::Settle(_) | Request::Subscribe(_) | Request::Unsubscribe(_) | Request::Disconnect,
                    ) => {}
                    // It may be about any frame that asked for no receipt.
                    None => self.unasked.clear(),
                }
            }
            Told::Silent { .. } => {
                scene.count("gave the broker up as silent");
                self.over = true;
            }
            Told::Broken(error) => {
                scene.complain(format!("the broker sent no frame: {error}"));
                self.over = true;
            }
            Told::Unexpected { command } => {
                scene.complain(format!("the broker sent an unexpected {command}"));
                self.over = true;
            }
        }
    }

    pub(super) fn answered(&mut self, request: Request, scene: &mut Scene) {
        match request {
            Request::Send(parcel) => scene.push(Event::Sent(parcel.sending.body)),
            Request::Settle(settlement) => scene.push(Event::Settled(settlement)),
            Request::Commit(open) => scene.push(Event::Committed(open.transaction)),
            Request::Subscribe(Some(index)) => scene.subscribed(index),
            Request::Subscribe(None) => {}
            Request::Unsubscribe(consumer) => {
                self.confirm_unasked(scene, |of| of == Some(consumer));
                scene.push(Event::Left(consumer));
            }
            Request::Disconnect => {
                self.confirm_unasked(scene, |_| true);
                self.over = true;
            }
        }
    }

    /// A receipt came that stands for what went before it too: an UNSUBSCRIBE's for its subscription, a DISCONNECT's for the whole connection.
    fn confirm_unasked(&mut self, scene: &mut Scene, includes: impl Fn(Option<Consumer>) -> bool) {
        for (of, event) in std::mem::take(&mut self.unasked) {
            if includes(of) {
                scene.count("confirmed by a later receipt");
                scene.push(event);
            } else {
                self.unasked.push((of, event));
            }
        }
    }

    pub(super) fn delivered(&mut self, now: Now, message: &Message, scene: &mut Scene) {
        let Some((body, place)) = self.recognise(message, scene) else {
            return;
        };
        let is_here = |known: &&mut Subscription| *known.id == *message.subscription();
        let mut here = self.subscriptions.iter_mut().find(is_here);
        let open = here.is_some();
        let Some(subscription) = here.take().or_else(|| self.ended.iter_mut().find(is_here)) else {
            return;
        };
        if let Some(browse) = subscription.browse {
            scene.push(Event::Browsed { browse, body });
            return;
        }
        let content = scene.content_of(body);
        let flaw = flaw_of(message, &content, scene.promised(body), subscription.selective);
        let redelivered = message.is_redelivered();
        let id = u64::from(crc32_of(message.id()));
        scene.count(match (open, redelivered) {
            (true, false) => "delivered",
            (true, true) => "delivered again",
            (false, _) => "delivered behind UNSUBSCRIBE",
        });
        scene.remember(message);
        scene.push(Event::Delivered(Delivered {
            consumer: subscription.consumer,
            place,
            body,
            redelivered,
            at: scene.as_of.unwrap_or(now.wall.0),
            id,
            superseded: scene.superseded,
            flaw,
        }));
        match subscription.ack {
            Ack::Auto => {
                let settlement = Settlement(scene.history.fresh());
                scene.push(Event::Settling {
                    settlement,
                    place,
                    bodies: vec![body],
                    outcome: Outcome::Consumed,
                    transaction: None,
                });
            }
            Ack::Client | Ack::ClientIndividual => {
                self.deliveries += 1;
                subscription.held.push(Held {
                    serial: self.deliveries,
                    body,
                    place,
                    token: message.ack_token(),
                });
            }
        }
    }

    pub(super) fn vanished(&mut self, message: &Message, scene: &mut Scene) {
        if mischief::is_ours(message.subscription()) {
            return;
        }
        let Some((body, place)) = self.recognise(message, scene) else {
            return;
        };
        let known = self
            .subscriptions
            .iter()
            .chain(&self.ended)
            .find(|known| *known.id == *message.subscription());
        if known.is_some_and(|known| known.ack == Ack::Auto && known.browse.is_none()) {
            scene.count("vanished on the way");
            scene.push(Event::Vanished { place, body });
        }
    }

    /// Which message it is and where it waited; `None` for the end marks of a drain, and for what is wrong.
    pub(super) fn recognise(&self, message: &Message, scene: &mut Scene) -> Option<(Body, Place)> {
        if message.body().starts_with(b"end:") {
            return None;
        }
        let known = self
            .subscriptions
            .iter()
            .chain(&self.ended)
            .find(|known| *known.id == *message.subscription());
        let place = known
            .and_then(|known| known.place)
            .or_else(|| scene.place_of(message.destination()));
        match (known, Content::number(message.body()), place) {
            (Some(_), Some(body), Some(place)) => Some((body, place)),
            (_, _, _) => {
                scene.complain(format!(
                    "a delivery that nobody asked for, from {}",
                    message.destination()
                ));
                None
            }
        }
    }
}

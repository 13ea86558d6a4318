//! A new device that is demanded from a day on.

use super::*;

fn list() -> ListApiKeys {
    ListApiKeys {}
}

/// Until then the old device is good enough; from then on nothing goes but enrolling a new one.
#[tokio::test]
async fn a_demanded_device_is_asked_for_from_its_day_on() {
    let mut world = World::new();
    let id = world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    let secret = world.enrol(&session).await;
    let from = START.plus_seconds(3_600);
    world.change(id, |user| user.second_factor.enrol_from = Some(from)).await;
    let login = async |world: &World| {
        let pending = world.pending(EMAIL).await;
        let done = world.complete(&pending, &world.code(&secret)).await.unwrap();
        world.identity(&done.session.key).await
    };
    world.pass(3_599);
    let early = login(&world).await;
    assert_eq!(world.user(id).await.second_factor.state(), FactorState::On);
    world.run(&early, list()).await.unwrap();
    world.pass(60);
    // The old device still protects the account, but gets no further.
    let late = login(&world).await;
    for session in [&early, &late] {
        assert_eq!(code_of(world.run(session, list()).await), "two_factor_setup_required");
    }
    world.pass(30);
    world.enrol(&late).await;
    let user = world.user(id).await;
    assert_eq!(user.second_factor.enrol_from, None);
    let pending = world.pending(EMAIL).await;
    assert!(world.complete(&pending, &world.code(&secret)).await.is_err());
}

/// Who has none is told so from the day on, and is among those told to enrol at once.
#[tokio::test]
async fn a_first_device_can_be_demanded_from_a_day_on() {
    let mut world = World::new();
    let id = world.create(EMAIL, false).await;
    world.change(id, |user| user.second_factor.enrol_from = Some(START.plus_seconds(60))).await;
    let session = world.login(EMAIL).await;
    assert_eq!(world.user(id).await.second_factor.state(), FactorState::Enrol);
    world.run(&session, list()).await.unwrap();
    world.pass(60);
    assert_eq!(code_of(world.run(&session, list()).await), "two_factor_setup_required");
    world.enrol(&session).await;
    assert_eq!(world.user(id).await.second_factor.state(), FactorState::On);
}

/// What is demanded is not shaken off by disabling the old device, before the day or after it.
#[tokio::test]
async fn disabling_the_old_device_does_not_end_the_demand() {
    for from in [START, START.plus_seconds(3_600)] {
        let mut world = World::new();
        let id = world.create(EMAIL, false).await;
        let session = world.login(EMAIL).await;
        world.enrol(&session).await;
        world.change(id, |user| user.second_factor.enrol_from = Some(from)).await;
        let disable = || DisableTwoFactor { user: me(), fields: fields(&json!({"current_password": PASSWORD})) };
        world.run(&session, disable()).await.unwrap();
        let factor = world.user(id).await.second_factor;
        assert_eq!((factor.state(), factor.enrol_from), (FactorState::Enrol, Some(from)));
        world.pass(3_601);
        let session = world.login(EMAIL).await;
        assert_eq!(code_of(world.run(&session, list()).await), "two_factor_setup_required");
        world.enrol(&session).await;
        // One that nobody demanded goes as it came.
        world.run(&session, disable()).await.unwrap();
        assert_eq!(world.user(id).await.second_factor.enrol_from, None);
    }
}

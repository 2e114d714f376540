//! Content: images of every shape arrive as they were published.

use std::sync::Arc;

use hoist_core::ImageRegistry;

use super::super::harness::Subject;
use super::support::{assert_is, pull_published};
use crate::image::{Format, Image, Layer};

pub(super) async fn a_pulled_image_is_a_whole_layout(subject: &Subject) {
    let image = Image::sample(1);
    assert_is(&pull_published(subject, &image).await, &image);
}

pub(super) async fn an_answer_has_exactly_three_fields(subject: &Subject) {
    let pulled = pull_published(subject, &Image::sample(1)).await;
    let json = serde_json::to_value(&pulled).expect("an answer can be serialised");
    let fields = json.as_object().expect("an object").keys().map(String::as_str);
    let mut fields: Vec<_> = fields.collect();
    fields.sort_unstable();
    assert_eq!(fields, ["digest", "path", "reference"]);
    assert!(pulled.path.is_absolute(), "a path that holds wherever it is read");
}

pub(super) async fn a_layer_that_is_there_twice_is_pulled(subject: &Subject) {
    let layer = Layer::random(5000, 1);
    let image = Image::builder().layers([layer.clone(), Layer::random(100, 2), layer]).build();
    assert_is(&pull_published(subject, &image).await, &image);
}

pub(super) async fn sixty_layers_are_pulled(subject: &Subject) {
    let image = Image::builder().layers((0..60).map(|seed| Layer::random(500, seed))).build();
    assert_is(&pull_published(subject, &image).await, &image);
}

pub(super) async fn a_large_layer_is_pulled(subject: &Subject) {
    const LEN: usize = 20 << 20; // more than one piece, however a backend may cut it
    let image = Image::builder().layer(Layer::random(LEN, 1)).layer(Layer::random(10, 2)).build();
    assert_is(&pull_published(subject, &image).await, &image);
}

pub(super) async fn a_docker_image_is_pulled_with_its_bytes_untouched(subject: &Subject) {
    let image = Image::builder().format(Format::Docker).layer(Layer::random(3000, 1).gzipped()).build();
    assert_is(&pull_published(subject, &image).await, &image);
}

pub(super) async fn layers_without_content_are_pulled(subject: &Subject) {
    let image = Image::builder().layers([Layer::empty(), Layer::raw(""), Layer::random(10, 1)]).build();
    assert_is(&pull_published(subject, &image).await, &image);
}

pub(super) async fn an_image_without_layers_is_pulled(subject: &Subject) {
    let image = Image::builder().build();
    assert_is(&pull_published(subject, &image).await, &image);
}

pub(super) async fn two_tags_of_one_image_have_one_digest(subject: &Subject) {
    let image = Image::sample(1);
    let (one, other) =
        (subject.publish("demo", "v1", &image).await, subject.publish("demo", "v2", &image).await);
    let (one, other) = (subject.pull(&one).await.unwrap(), subject.pull(&other).await.unwrap());
    assert_is(&one, &image);
    assert_is(&other, &image);
    assert_ne!(one.reference, other.reference, "each keeps the name that it was asked for by");
}

pub(super) async fn it_works_behind_every_pointer(subject: &Subject) {
    let image = Image::sample(1);
    let reference = subject.publish("demo", "v1", &image).await;
    let shared: Arc<dyn ImageRegistry> = Arc::clone(subject.registry());
    let boxed: Box<dyn ImageRegistry> = Box::new(Arc::clone(&shared));
    let borrowed: &dyn ImageRegistry = &boxed;
    for registry in [&shared as &dyn ImageRegistry, &boxed, &borrowed] {
        assert_is(&registry.pull(&reference).await.unwrap(), &image);
        assert!(registry.is_cached(&reference).await, "what was pulled is cached");
        assert_eq!(registry.list_cached().await.unwrap(), [reference.as_str()]);
    }
}

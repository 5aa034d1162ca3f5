"""What tests share: examples, drawn images, servers, browsers and runs."""

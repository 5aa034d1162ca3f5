"""What is answered and still to be delivered, on disk: no kill loses or repeats a row."""

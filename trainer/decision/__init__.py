"""What is fitted after training: temperature, prediction sets, novelty, rules."""

"""The decision, fitted after training: temperature, prediction sets, novelty detector, rules."""

"""Tests of drawn steel."""

"""Qt widgets that show values and emit signals. Main thread only."""

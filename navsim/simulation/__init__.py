"""One car driving a scenario: simulation loop, rules, rollouts, Gymnasium environments."""

"""What is proved of the two-temperature relaxation on convex objectives, measured (docs/guarantee.md).

`bounds` has the constants of the theorems, `problems` the convex objectives, `sizes` true bounds of their gradients,
`optimum` their certified minima, `descent` the update, `rounding` the way back to an architecture, `measure` the
experiments, `report` their figures and tables.
"""

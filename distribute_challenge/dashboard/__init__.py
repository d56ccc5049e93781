"""Shows what a cluster does: as a page, as figures for other programs, and in a terminal.

    Redis ──► Collector ──► Snapshot ──► the page, `/metrics`, `top`
      └─────► backlog ─────────────────► `/api/backlog`

It only reads. See docs/dashboard.md for what comes from where.
"""

"""The pages: routers, one view model a page, charts. A view calls a service once and formats what it returns."""

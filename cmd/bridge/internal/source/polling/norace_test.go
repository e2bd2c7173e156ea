//go:build !race

package polling

// usualHistories is how many are lived when BRIDGE_POLL_HISTORIES does not say it.
const usualHistories = 300

//go:build race

package polling

// usualHistories is how many are lived when BRIDGE_POLL_HISTORIES does not say it: the
// race detector makes each of them many times as long.
const usualHistories = 30

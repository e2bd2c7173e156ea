//go:build race

package streaming

// usualSeeds is how many weeks are lived when BRIDGE_LIFE_SEEDS does not say it:
// the race detector makes each of them ten times as long.
const usualSeeds = 12

//go:build !race

package streaming

// usualSeeds is how many weeks are lived when BRIDGE_LIFE_SEEDS does not say it.
const usualSeeds = 200

//go:build !race

package snapshot

const seedsOfARun = 500

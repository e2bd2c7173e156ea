// Package audit compares the records of an object in an org with what its topic says of
// them, while changes go on.
//
// # What it does
//
// [Run] reads rows of the org, all of them or a sample, makes of each the record that
// the bridge would write of it, and compares its fields with those that the topic folds
// to; and it looks for records that the topic has and the org has not.
//
// What differs is in doubt and not wrong: the change may be on its way. The topic is
// always behind the org, so that what a row says is at its place in the topic, or
// comes there. Records in doubt are read again, and the topic goes on to be read, record
// by record: the doubt ends when the topic once says exactly what the row said when it was
// read, the first time or later. What
// differs for Config.Settle from a row that does not change meanwhile is a [Drift]. What
// is in doubt for three times as long, of a row that keeps changing, is not decided.
//
// A sample has two halves: records of the org, which the topic may lack, and records of
// the topic, which the org may lack. Numbers of records are compared too, since a sample
// cannot see the few that are missing among many; where records come and go all the
// time numbers may meet by chance.
//
// # What it promises
//
// A record that is written by the bridge within Settle is never called a drift, whatever
// changes at whatever rate. A full audit finds each record that differs in a field that
// both can show. The end of the topic and the rows are of different moments; nothing is
// concluded from that alone.
//
// # What it does not do
//
// It writes nothing and repairs nothing; [Report.IDs] are what to repair. It does not
// compare formulas and what else rows do not have or events do not carry
// ([Report.Left]), nor long texts of which the topic has only diffs ([Report.Unclear]).
// Rows that the user may not see are missing in the org, as far as it can tell.
//
// # Concurrency
//
// One goroutine runs an audit.
//
// # Errors
//
// *[TooManyError]: so many records are in doubt that they cannot be remembered. Errors
// of the readers are returned as they are, with what was being read.
package audit

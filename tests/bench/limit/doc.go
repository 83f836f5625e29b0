// Command limit measures what fio gets of a volume of a local cluster whose guest is limited, beside what was asked
// for. The volume is attached once: every limit is set while its engine runs. scripts/bench calls it.
package main

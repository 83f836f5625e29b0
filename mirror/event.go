package mirror

// LegIndex numbers the legs of a Core, from 0. An index is used again after its leg was let go.
type LegIndex int8

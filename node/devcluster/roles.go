package devcluster

import (
	"fmt"
	"strings"

	"github.com/holdfast-storage/holdfast/raft"
)

// ParseRoles reads a comma-separated list of roles; the empty text means all of them.
func ParseRoles(text string) ([]raft.Role, error) {
	if text == "" {
		return AllRoles(), nil
	}
	var roles []raft.Role
	for _, word := range strings.Split(text, ",") {
		switch r := raft.Role(strings.TrimSpace(word)); r {
		case raft.RoleCoordinator, raft.RoleStorage, raft.RoleHost:
			roles = append(roles, r)
		default:
			return nil, fmt.Errorf("role %q is unknown (coordinator, storage, host)", word)
		}
	}
	return roles, nil
}

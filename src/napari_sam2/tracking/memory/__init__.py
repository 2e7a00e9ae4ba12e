"""What an object's earlier frames tell about the next one."""

"""What reloads cost those who are connected: hornbeamd's, and the peers' beside them."""

"""The networks that are built in code, one family a file; `columnar_nn.model.zoo` names them."""

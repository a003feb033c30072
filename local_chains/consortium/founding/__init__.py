"""How organisations found a consortium chain, and how others join: nobody makes a key of somebody else."""

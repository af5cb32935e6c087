# Two roles: what the worker may do, and what ECS may do to start it.

locals {
  # Not in the name of somebody else's account.
  assumed_by_tasks = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.here.account_id } }
    }]
  })
}

resource "aws_iam_role" "worker" {
  name_prefix          = "misstep-worker-"
  path                 = var.iam_path
  permissions_boundary = var.permissions_boundary_arn
  description          = "${var.event_rule_name}: the misstep worker"
  assume_role_policy   = local.assumed_by_tasks
  tags                 = local.tags
}

resource "aws_iam_role_policy_attachment" "worker" {
  role       = aws_iam_role.worker.name
  policy_arn = module.misstep.worker_policy_arn
}

resource "aws_iam_role_policy_attachment" "sweep" {
  count = var.incident_table == null ? 0 : 1

  role       = aws_iam_role.worker.name
  policy_arn = module.misstep.sweep_policy_arn
}

resource "aws_iam_role_policy_attachment" "logs" {
  count = length(var.log_group_arns) == 0 ? 0 : 1

  role       = aws_iam_role.worker.name
  policy_arn = module.misstep.logs_policy_arn
}

resource "aws_iam_role" "execution" {
  name_prefix          = "misstep-execution-"
  path                 = var.iam_path
  permissions_boundary = var.permissions_boundary_arn
  description          = "${var.event_rule_name}: pulls the image, reads the secrets, writes the log"
  assume_role_policy   = local.assumed_by_tasks
  tags                 = local.tags
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:${data.aws_partition.here.partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

locals {
  secret_arns = {
    for service in ["secretsmanager", "ssm"] : service =>
    # What follows the secret's own ARN says which of its keys and versions: no part of the resource.
    [for arn in distinct(values(var.secrets)) : join(":", slice(split(":", arn), 0, min(length(split(":", arn)), 7))) if split(":", arn)[2] == service]
  }

  read_secrets = concat(
    length(local.secret_arns.secretsmanager) == 0 ? [] : [{
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = local.secret_arns.secretsmanager
    }],
    length(local.secret_arns.ssm) == 0 ? [] : [{
      Effect   = "Allow"
      Action   = "ssm:GetParameters"
      Resource = local.secret_arns.ssm
    }],
    length(var.secret_key_arns) == 0 ? [] : [{
      Effect   = "Allow"
      Action   = "kms:Decrypt"
      Resource = var.secret_key_arns
    }],
  )
}

resource "aws_iam_role_policy" "secrets" {
  count = length(local.read_secrets) == 0 ? 0 : 1

  name = "secrets"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.read_secrets
  })
}
